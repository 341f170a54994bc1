"""Where a token may go."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from ccm_orchestrator.client import AsyncClient, Client
from ccm_orchestrator.client.address import of_this_machine
from ccm_orchestrator.errors import InvalidSettings


@pytest.mark.parametrize("url", ["http://127.0.0.1:8765", "http://[::1]:1", "http://localhost", "https://desk.example"])
def test_a_token_goes_to_this_machine_or_over_tls(url: str) -> None:
    Client(url, "t").close()


@pytest.mark.parametrize("url", ["http://desk.example", "http://192.168.1.5:8765", "http://localhost.evil.example"])
def test_a_token_never_crosses_a_network_in_clear(url: str) -> None:
    for client in (Client, AsyncClient):
        with pytest.raises(InvalidSettings, match="in clear"):
            client(url, "t")
    Client(url, "t", allow_plain_http=True).close()


@pytest.mark.parametrize("url", ["", "desk:8765", "ftp://desk", "https://", "https://u:p@desk", "https://desk?token=t"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(InvalidSettings, match="Expected the daemon's address"):
        Client(url, "t")


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "☃"])
def test_what_is_no_token_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(InvalidSettings, match="Expected the token") as caught:
        Client("https://desk.example", token)
    assert token == "" or token not in str(caught.value)


def test_the_environment_sends_it_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    heard: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        heard.append(str(request.url))
        return httpx.Response(200, json=[])

    with Client("http://127.0.0.1:1", "t", transport=httpx.MockTransport(answer)) as ccm:
        ccm.projects.list()
        assert not ccm.carrier.http.trust_env
    assert heard == ["http://127.0.0.1:1/api/projects"]


def test_the_daemon_of_this_machine_is_found_by_its_files(tmp_path: Path) -> None:
    (tmp_path / "api-url").write_text("http://127.0.0.1:4321\n")
    token = tmp_path / "api-token"
    token.write_text("a" * 43)
    token.chmod(0o600)
    assert of_this_machine(tmp_path) == ("http://127.0.0.1:4321", "a" * 43)


def test_a_client_does_not_show_its_token() -> None:
    client = Client("https://desk.example", "canary")
    assert "canary" not in repr(client) + repr(client.carrier) + repr(client.carrier.http.headers)
    client.close()
