"""Hosts, origins, peers and tokens, as pure functions of a request's head."""

from __future__ import annotations

import pytest
from starlette.types import Scope

from ccm_orchestrator.errors import AccessRefused, Forbidden, MalformedHost, Misdirected
from ccm_orchestrator.security.local import peer_is_loopback, presented_token, refusal

OURS = ("host", "127.0.0.1:8765")


def request(*headers: tuple[str, str], client: str | None = "127.0.0.1") -> Scope:
    return {
        "type": "http",
        "server": ("127.0.0.1", 8765),
        "client": None if client is None else (client, 50000),
        "headers": [(name.encode(), value.encode()) for name, value in headers],
    }


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost:8765", "LocalHost:8765", "[::1]:8765"])
def test_our_own_names_are_served(host: str) -> None:
    assert refusal(request(("host", host))) is None


@pytest.mark.parametrize(
    ("host", "error"),
    [
        ("evil.com", Misdirected),
        ("evil.com:8765", Misdirected),
        ("127.0.0.1.evil.com:8765", Misdirected),
        ("localhost:1", Misdirected),
        ("localhost", Misdirected),
        ("127.0.0.1", Misdirected),
        ("localhost.:8765", MalformedHost),
        ("127.1:8765", Misdirected),
        ("0.0.0.0:8765", Misdirected),
        ("2130706433:8765", Misdirected),
        ("[::ffff:127.0.0.1]:8765", Misdirected),
        ("", MalformedHost),
        (" ", MalformedHost),
        ("a/admin?", MalformedHost),
        ("localhost:8765/", MalformedHost),
        ("user@localhost:8765", MalformedHost),
        ("localhost:8765,evil.com", MalformedHost),
        ("localhost:8765 evil.com", MalformedHost),
        ("localhost:87650000", MalformedHost),
        ("localhost:8765\n", MalformedHost),
        ("löcalhost:8765", MalformedHost),
    ],
)
def test_attack_1_foreign_and_odd_hosts(host: str, error: type[AccessRefused]) -> None:
    assert type(refusal(request(("host", host)))) is error


def test_attack_1_no_host_and_two_hosts() -> None:
    assert isinstance(refusal(request()), MalformedHost)
    assert isinstance(refusal(request(OURS, OURS)), MalformedHost)
    assert isinstance(refusal(request(OURS, ("host", "evil.com"))), MalformedHost)


def test_forwarding_headers_name_no_host() -> None:
    forged = [("x-forwarded-host", "localhost:8765"), ("forwarded", "host=localhost:8765")]
    assert isinstance(refusal(request(("host", "evil.com"), *forged)), Misdirected)


def test_a_host_that_the_user_allowed_is_served_with_its_origin() -> None:
    tunnel = request(("host", "localhost:9000"), ("origin", "http://localhost:9000"))
    assert refusal(tunnel, frozenset({"localhost:9000"})) is None
    assert isinstance(refusal(tunnel), Forbidden)


def test_attack_2_dns_rebinding_is_told_by_its_origin() -> None:
    rebound = request(("host", "attacker.test:8765"), ("origin", "http://attacker.test:8765"))
    assert isinstance(refusal(rebound), Forbidden)


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.com",
        "null",
        "",
        "http://localhost",
        "http://localhost:3000",
        "http://127.0.0.1:8765.evil.com",
        "http://localhost:8765/path",
        "file://",
    ],
)
def test_attack_3_foreign_origins(origin: str) -> None:
    assert isinstance(refusal(request(OURS, ("origin", origin))), Forbidden)


def test_a_second_origin_does_not_hide_behind_ours() -> None:
    assert isinstance(
        refusal(request(OURS, ("origin", "http://localhost:8765"), ("origin", "https://evil.com"))), Forbidden
    )


@pytest.mark.parametrize("site", ["cross-site", "same-site", "Cross-Site"])
def test_pages_of_other_sites_are_refused_where_browsers_send_no_origin(site: str) -> None:
    assert isinstance(refusal(request(OURS, ("sec-fetch-site", site))), Forbidden)


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_our_own_page_and_a_typed_address_are_served(site: str) -> None:
    assert refusal(request(OURS, ("sec-fetch-site", site))) is None


@pytest.mark.parametrize(
    ("client", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("10.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("", False),
        ("unknown", False),
        (None, False),
    ],
)
def test_the_peer_is_what_the_socket_says(client: str | None, loopback: bool) -> None:
    forged = [("x-forwarded-for", "127.0.0.1"), ("x-real-ip", "127.0.0.1"), ("forwarded", "for=127.0.0.1")]
    assert peer_is_loopback(request(OURS, *forged, client=client)) is loopback


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ([("authorization", "Bearer abc")], "abc"),
        ([("authorization", "bearer  abc ")], "abc"),
        ([("x-api-key", "abc")], "abc"),
        ([], None),
        ([("authorization", "Bearer ")], None),
        ([("authorization", "Bearer")], None),
        ([("authorization", "Basic abc")], None),
        ([("authorization", "abc")], None),
        ([("authorization", "Bearer abc"), ("authorization", "Bearer abd")], None),
        ([("authorization", "Bearer abc"), ("x-api-key", "abc")], None),
    ],
)
def test_one_token_is_read_from_the_headers(headers: list[tuple[str, str]], token: str | None) -> None:
    assert presented_token(request(OURS, *headers)) == token
