"""Whatever stands where a token should: it is refused, and nothing breaks."""

from __future__ import annotations

import base64
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ccm_orchestrator.errors import AccessRefused
from ccm_orchestrator.fakes.clock import FakeClock
from ccm_orchestrator.fakes.memory_keys import MemoryKeyStore
from ccm_orchestrator.security.identity import Identity
from ccm_orchestrator.security.secrets import Secret
from tests.signing import claims, signed
from tests.unit.security.test_user_tokens import users

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
NAMES = st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk", "jku", "sub", "exp", "iss", "aud", "role", "nbf"])
PARTS = st.one_of(
    st.binary(max_size=60),
    JSON.map(lambda value: json.dumps(value).encode()),
    st.dictionaries(NAMES, JSON | st.sampled_from(["ES256", "HS256", "none", "ec"]), max_size=6).map(
        lambda value: json.dumps(value).encode()
    ),
)
GOOD = signed(claims())


def part(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


async def refused(token: str | None) -> None:
    identity = Identity(Secret("x" * 43), MemoryKeyStore(), FakeClock(), users())
    try:
        caller = await identity.caller(token, "")
    except AccessRefused:
        return
    raise AssertionError(f"{token!r} was believed: {caller}")


@given(st.none() | st.text(max_size=200) | st.from_regex(r"ccm_[a-z0-9]{8}_[A-Za-z0-9_-]{43}", fullmatch=True))
async def test_any_text(token: str | None) -> None:
    await refused(token)


@given(PARTS, PARTS, st.binary(max_size=70))
async def test_anything_that_looks_like_a_token(header: bytes, body: bytes, signature: bytes) -> None:
    await refused(".".join(map(part, (header, body, signature))))


@given(PARTS)
async def test_another_head_or_body_under_a_good_signature(content: bytes) -> None:
    head, body, signature = GOOD.split(".")
    if part(content) not in (head, body):
        await refused(f"{part(content)}.{body}.{signature}")
        await refused(f"{head}.{part(content)}.{signature}")


@given(st.integers(0, len(GOOD) - 3), st.characters(codec="ascii"))
async def test_one_character_changed(position: int, character: str) -> None:
    """The last two hold bits that mean nothing."""
    changed = GOOD[:position] + character + GOOD[position + 1 :]
    if changed != GOOD:
        await refused(changed)
