"""The project's public keys: fetched with care, kept for a while, never believed without need."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from ccm_orchestrator.errors import IdentityUnavailable, Unauthenticated
from ccm_orchestrator.fakes.clock import FakeClock
from ccm_orchestrator.security import jwks
from ccm_orchestrator.security.jwks import (
    FRESH_S,
    MOST_STALE_S,
    REFETCH_INTERVAL_S,
    RETRY_INTERVAL_S,
    PublishedKeys,
    fetcher,
    read_keys,
)
from tests.signing import EC_KEY, ED_KEY, FOREIGN_KEY, RSA_KEY, jwk_set, public_jwk

NEW = public_jwk(FOREIGN_KEY, "ES256", "new")


@dataclass
class Project:
    """What the project answers, and how often it was asked."""

    content: bytes | Exception = field(default_factory=jwk_set)
    asked: int = 0

    async def fetch(self) -> bytes:
        self.asked += 1
        await asyncio.sleep(0)
        if isinstance(self.content, Exception):
            raise self.content
        return self.content


@pytest.fixture
def project() -> Project:
    return Project()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def keys(project: Project, clock: FakeClock) -> PublishedKeys:
    return PublishedKeys(project.fetch, clock.uptime_s)


AWAY = httpx.ConnectError("away")


async def known(keys: PublishedKeys, kid: str = "ec") -> bool:
    try:
        await keys.key_for({"kid": kid})
    except Unauthenticated:
        return False
    return True


async def test_keys_are_fetched_once_for_many_who_ask_at_once(keys: PublishedKeys, project: Project) -> None:
    assert all(await asyncio.gather(*(known(keys, kid) for kid in ("ec", "rsa", "ed") * 20)))
    assert project.asked == 1


async def test_a_new_key_is_found_without_a_restart(keys: PublishedKeys, project: Project, clock: FakeClock) -> None:
    assert await known(keys)
    project.content = jwk_set(NEW)
    clock.advance(REFETCH_INTERVAL_S)
    assert await known(keys, "new")
    assert project.asked == 2


async def test_made_up_key_ids_do_not_make_us_hammer_the_project(
    keys: PublishedKeys, project: Project, clock: FakeClock
) -> None:
    for second in range(300):
        assert not await known(keys, f"made-up-{second}")
        clock.advance(1)
    assert project.asked == 300 / REFETCH_INTERVAL_S


async def test_attack_20_a_withdrawn_key_is_believed_no_longer_than_said(
    keys: PublishedKeys, project: Project, clock: FakeClock
) -> None:
    assert await known(keys)
    project.content = json.dumps({"keys": [NEW]}).encode()
    clock.advance(FRESH_S)
    assert await known(keys)
    clock.advance(1)
    assert not await known(keys)


async def test_attack_20_a_flush_withdraws_it_at_once(keys: PublishedKeys, project: Project) -> None:
    assert await known(keys)
    project.content = json.dumps({"keys": [NEW]}).encode()
    keys.flush()
    assert not await known(keys)
    assert await known(keys, "new")


async def test_attack_20_a_project_that_is_away_is_no_reason_to_believe_or_to_refuse_everybody(
    keys: PublishedKeys, project: Project, clock: FakeClock
) -> None:
    assert await known(keys)
    project.content = AWAY
    clock.advance(FRESH_S + 1)
    for _ in range(20):
        assert await known(keys)
        assert not await known(keys, "made-up")
    assert project.asked == 2, "a project that is away is not hammered"
    clock.advance(RETRY_INTERVAL_S)
    assert await known(keys)
    assert project.asked == 3
    clock.advance(MOST_STALE_S)
    with pytest.raises(IdentityUnavailable):
        await keys.key_for({"kid": "ec"})
    project.content = jwk_set()
    clock.advance(RETRY_INTERVAL_S)
    assert await known(keys)


@pytest.mark.parametrize("content", [AWAY, TimeoutError(), ValueError(), b"", b"<html>", b"[]", b'{"keys": 7}'])
async def test_attack_20_without_keys_nobody_is_believed(content: bytes | Exception, clock: FakeClock) -> None:
    keys = PublishedKeys(Project(content).fetch, clock.uptime_s)
    with pytest.raises(IdentityUnavailable):
        await keys.key_for({"kid": "ec"})


async def test_attack_21_a_project_that_publishes_nothing_lets_nobody_in(clock: FakeClock) -> None:
    keys = PublishedKeys(Project(b'{"keys": []}').fetch, clock.uptime_s)
    odd: list[Any] = ["ec", "", None, 7, ["ec"], {}]
    for kid in odd:
        with pytest.raises(Unauthenticated):
            await keys.key_for({"kid": kid})
    with pytest.raises(Unauthenticated):
        await keys.key_for({})


@pytest.mark.parametrize(
    "jwk",
    [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "x"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "x", "alg": "HS256"},
        {"kty": "EC", "crv": "P-256", "kid": "x"},
        {"kty": "EC", "crv": "P-256", "kid": "x", "x": "AA", "y": "AA"},
        {"kty": ["EC"], "kid": "x"},
        {"kty": "EC", "crv": ["P-256"], "kid": "x"},
        public_jwk(EC_KEY, "ES256", "x", alg="HS256"),
        public_jwk(EC_KEY, "ES256", "x", alg="none"),
        public_jwk(EC_KEY, "ES256", "x", use="enc"),
        public_jwk(RSA_KEY, "RS256", "x", alg="RS512"),
        public_jwk(ED_KEY, "EdDSA", "x", alg="ES256"),
        {name: value for name, value in public_jwk(EC_KEY, "ES256", "x").items() if name != "kid"},
        public_jwk(EC_KEY, "ES256", "x") | {"kid": 7},
        None,
        7,
    ],
)
def test_attack_14_a_published_key_that_is_not_what_it_says_is_left_out(jwk: Any) -> None:
    assert set(read_keys(jwk_set(jwk))) == {"ec", "rsa", "ed"}


def test_a_short_key_is_left_out() -> None:
    modulus = {"kty": "RSA", "e": "AQAB", "n": "AL" + "u" * 168, "kid": "short"}
    assert "short" not in read_keys(jwk_set(modulus))


def test_the_first_of_two_keys_with_one_id_stays() -> None:
    assert read_keys(jwk_set(public_jwk(FOREIGN_KEY, "ES256", "ec")))["ec"].key.public_numbers() == (
        EC_KEY.public_key().public_numbers()
    )


@pytest.mark.parametrize("content", [b"[" * 60_000, b'{"keys": [' + b"7," * 101 + b"7]}", b"\xff", b"null"])
def test_what_is_no_set_of_keys_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_keys(content)


@asynccontextmanager
async def answering(head: bytes, body: bytes = b"", holding: bool = False) -> AsyncIterator[str]:
    """A server that says this to everybody; holding: and then nothing more, until they go."""
    connections = list[asyncio.StreamWriter]()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head + b"\r\n\r\n" + body)
        if holding:
            await reader.read()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/jwks.json"
    for writer in connections:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def test_keys_come_over_http() -> None:
    async with answering(b"HTTP/1.1 200 OK\r\nConnection: close", jwk_set()) as url:
        assert set(read_keys(await fetcher(url, False)())) == {"ec", "rsa", "ed"}


async def test_attack_16_a_redirect_is_not_followed() -> None:
    async with (
        answering(b"HTTP/1.1 200 OK\r\nConnection: close", jwk_set()) as elsewhere,
        answering(b"HTTP/1.1 302 Found\r\nConnection: close\r\nLocation: " + elsewhere.encode()) as url,
    ):
        with pytest.raises(ValueError, match="answered 302"):
            await fetcher(url, False)()


async def test_attack_16_an_answer_that_is_too_large_is_given_up() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 999999999"
    async with answering(head, b" " * 100_000) as url:
        with pytest.raises(ValueError, match="more than 65536 bytes"):
            await fetcher(url, False)()


async def test_attack_16_a_small_answer_that_unpacks_to_a_huge_one_is_not_unpacked() -> None:
    packed = gzip.compress(b" " * 1_000)
    async with answering(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Encoding: gzip", packed) as url:
        with pytest.raises(ValueError, match="packed"):
            await fetcher(url, False)()


async def test_attack_16_an_answer_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwks, "FETCH_TIMEOUT_S", 0.3)
    async with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 999", b"{", holding=True) as url:
        with pytest.raises((TimeoutError, httpx.TimeoutException)):
            await fetcher(url, False)()
