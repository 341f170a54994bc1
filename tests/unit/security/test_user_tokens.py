"""Users' tokens: what is believed, and the attacks that are known."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from typing import Any

import jwt
import pytest

from ccm_orchestrator.domain.caller import CallerKind, Scope
from ccm_orchestrator.errors import AccessRefused, Forbidden, Unauthenticated
from ccm_orchestrator.security.jwks import VerifyingKey, read_keys
from ccm_orchestrator.security.secrets import Secret
from ccm_orchestrator.security.user_tokens import LEEWAY_S, Keys, SharedSecret, UserTokens
from tests.signing import (
    ANNA,
    BELA,
    EC_KEY,
    ED_KEY,
    FOREIGN_KEY,
    ISSUER,
    RSA_KEY,
    SHARED,
    claims,
    forged,
    jwk_set,
    public_jwk,
    public_pem,
    signed,
)


class Known:
    """The project's keys, as if just fetched."""

    def __init__(self) -> None:
        self._keys = read_keys(jwk_set())

    async def key_for(self, header: Mapping[str, Any]) -> VerifyingKey:
        if header.get("kid") not in self._keys:
            raise Unauthenticated()
        return self._keys[header["kid"]]

    def flush(self) -> None: ...


def users(keys: Keys | None = None, scopes: str = "read submit", grants: str = "") -> UserTokens:
    granted = {BELA: frozenset(map(Scope, grants.split()))} if grants else {}
    return UserTokens(ISSUER, "authenticated", keys or Known(), frozenset(map(Scope, scopes.split())), granted)


async def refused(token: str, error: type[AccessRefused] = Unauthenticated, keys: Keys | None = None) -> None:
    with pytest.raises(error) as raised:
        await users(keys).caller(token, "127.0.0.1")
    assert type(raised.value) is error


@pytest.mark.parametrize(
    ("key", "algorithm", "kid"), [(EC_KEY, "ES256", "ec"), (RSA_KEY, "RS256", "rsa"), (ED_KEY, "EdDSA", "ed")]
)
async def test_a_user_is_known_by_the_token_and_owns_what_they_ask_for(key: Any, algorithm: str, kid: str) -> None:
    caller = await users().caller(signed(claims(), key, algorithm, kid), "10.0.0.7")
    assert (caller.kind, caller.name, caller.owner, caller.source) == (CallerKind.USER, ANNA, ANNA, "10.0.0.7")
    assert caller.scopes == {Scope.READ, Scope.SUBMIT}


async def test_single_users_may_more() -> None:
    tokens = users(grants="approve")
    assert (await tokens.caller(signed(claims(BELA)), "")).scopes == {Scope.READ, Scope.SUBMIT, Scope.APPROVE}
    assert (await tokens.caller(signed(claims(ANNA)), "")).scopes == {Scope.READ, Scope.SUBMIT}


async def test_a_user_for_whom_no_scope_is_named_may_nothing() -> None:
    tokens = users(scopes="", grants="read")
    assert (await tokens.caller(signed(claims(BELA)), "")).scopes == {Scope.READ}
    with pytest.raises(Forbidden, match=r"users\.scopes"):
        await tokens.caller(signed(claims(ANNA)), "")


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", ""])
@pytest.mark.parametrize("signature", [b"", b"x"])
async def test_attack_12_no_algorithm_and_no_signature(algorithm: str, signature: bytes) -> None:
    for kid in ("ec", "rsa", ""):
        await refused(forged({"alg": algorithm, "typ": "JWT", "kid": kid}, claims(), signature))


async def test_attack_12_a_good_head_without_its_signature() -> None:
    await refused(signed().rpartition(".")[0] + ".")
    await refused(signed().rpartition(".")[0])
    await refused(forged({"alg": "ES256", "kid": "ec"}, claims(), b"\0" * 64))


@pytest.mark.parametrize(("key", "kid"), [(EC_KEY, "ec"), (RSA_KEY, "rsa")])
async def test_attack_13_the_public_key_is_no_shared_secret(key: Any, kid: str) -> None:
    jwk = json.dumps(public_jwk(key, "ES256" if kid == "ec" else "RS256", kid)).encode()
    for secret in (public_pem(key), jwk, base64.b64encode(public_pem(key))):
        token = forged({"alg": "HS256", "kid": kid}, claims())
        head = token.rpartition(".")[0]
        signature = jwt.get_algorithm_by_name("HS256").sign(head.encode(), secret)
        await refused(f"{head}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}")


@pytest.mark.parametrize(
    ("key", "algorithm", "kid"),
    [(RSA_KEY, "RS256", "ec"), (EC_KEY, "ES256", "rsa"), (RSA_KEY, "RS512", "rsa"), (RSA_KEY, "PS256", "rsa")],
)
async def test_attack_14_the_algorithm_is_the_keys_and_not_the_tokens(key: Any, algorithm: str, kid: str) -> None:
    await refused(signed(claims(), key, algorithm, kid))


@pytest.mark.parametrize("demanded", [["b64"], ["exp"], ["x-unknown"], [], "b64"])
async def test_attack_15_an_extension_that_must_be_understood_is_not(demanded: object) -> None:
    head, body, _ = signed().split(".")
    for more in ({"crit": demanded, "x-unknown": 1}, {"crit": demanded, "b64": False}, {"b64": False}):
        header = json.loads(base64.urlsafe_b64decode(head + "==")) | more
        changed = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
        signature = jwt.get_algorithm_by_name("ES256").sign(f"{changed}.{body}".encode(), EC_KEY)
        await refused(f"{changed}.{body}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}")


async def test_attack_16_a_key_that_the_token_brings_along_is_not_looked_at() -> None:
    own = public_jwk(FOREIGN_KEY, "ES256", "ec")
    for more in ({"jwk": own}, {"jku": "https://evil.test/jwks.json"}, {"x5u": "https://evil.test/c.pem"}):
        await refused(signed(claims(), FOREIGN_KEY, **more))
        assert (await users().caller(signed(claims(), EC_KEY, **more), "")).name == ANNA


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://evil.test/auth/v1"},
        {"iss": ISSUER + "/"},
        {"iss": None},
        {"iss": [ISSUER]},
        {"aud": "anon"},
        {"aud": None},
        {"aud": []},
        {"exp": None},
        {"exp": "soon"},
        {"exp": True},
        {"exp": -LEEWAY_S - 5},
        {"nbf": LEEWAY_S + 60},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "a\nb"},
        {"sub": "x" * 201},
    ],
)
async def test_attack_17_claims_that_are_wrong_or_missing(changes: dict[str, Any]) -> None:
    """Numbers count from now."""
    for name in ("exp", "nbf"):
        if isinstance(changes.get(name), float):
            changes = {name: int(time.time() + changes[name])}
    await refused(forged_but_signed(claims() | changes, [name for name, value in changes.items() if value is None]))


def forged_but_signed(said: dict[str, Any], missing: list[str]) -> str:
    kept = {name: value for name, value in said.items() if name not in missing}
    head = forged({"alg": "ES256", "kid": "ec"}, kept).rpartition(".")[0]
    signature = jwt.get_algorithm_by_name("ES256").sign(head.encode(), EC_KEY)
    return f"{head}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


async def test_attack_17_clocks_may_differ_by_half_a_minute() -> None:
    now = int(time.time())
    assert (await users().caller(signed(claims(exp=now - 20, nbf=now + 20)), "")).name == ANNA


@pytest.mark.parametrize("role", ["service_role", "anon", "supabase_admin", "", None, ["authenticated"]])
async def test_attack_18_the_projects_own_keys_are_no_users(role: object) -> None:
    await refused(signed(claims(role=role)), Forbidden)
    await refused(signed(claims(role=role), SHARED, "HS256", None), Forbidden, SharedSecret(Secret(SHARED)))


async def test_attack_18_machines_and_the_nameless_are_no_users() -> None:
    await refused(signed(claims(system_id="desk")), Forbidden)
    await refused(signed(claims(is_anonymous=True)), Forbidden)


async def test_attack_19_the_token_of_another_project() -> None:
    await refused(signed(claims(iss="https://other.test/auth/v1"), FOREIGN_KEY))
    await refused(signed(claims(), FOREIGN_KEY))
    await refused(signed(claims(), FOREIGN_KEY, kid="theirs"))


async def test_attack_21_a_shared_secret_is_believed_only_where_the_settings_say_so() -> None:
    token = signed(claims(), SHARED, "HS256", None)
    assert (await users(SharedSecret(Secret(SHARED))).caller(token, "")).name == ANNA
    await refused(token)
    await refused(signed(claims(), SHARED, "HS256", "ec"))
    await refused(signed(), keys=SharedSecret(Secret(SHARED)))
    await refused(signed(claims(), SHARED + "x", "HS256", None), keys=SharedSecret(Secret(SHARED)))
    await refused(signed(claims(), SHARED + SHARED, "HS512", None), keys=SharedSecret(Secret(SHARED)))


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "a.b.c",
        "a.b.c.d",
        "ä.b.c",
        "\ud800.b.c",
        " a.b.c",
        "a.b.c\n",
        "e30.e30.",
        "W10.W10.x",
        "eyJ.eyJ.x",
        "x" * 9_000,
        f"{'x' * 9_000}.b.c",
    ],
)
async def test_what_is_no_token_is_refused_as_such(token: str) -> None:
    await refused(token)


async def test_odd_documents_in_a_token_are_refused() -> None:
    deep = base64.urlsafe_b64encode(b"[" * 5_000).rstrip(b"=").decode()
    await refused(f"{deep}.e30.x")
    headers: list[Any] = [[], None, 7, {"alg": 7}, {"alg": "ES256", "kid": ["ec"]}, {"alg": "ES256", "kid": 7}]
    for header in headers:
        await refused(forged(header, claims(), b"x"))
    documents: list[Any] = [[], None, 7, "text", {"exp": 1e400, "aud": {}, "iss": {}, "sub": {}}]
    for said in documents:
        head = forged({"alg": "ES256", "kid": "ec"}, said).rpartition(".")[0]
        signature = jwt.get_algorithm_by_name("ES256").sign(head.encode(), EC_KEY)
        await refused(f"{head}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}")


async def test_a_refusal_quotes_nothing_of_the_token() -> None:
    for token in (signed(claims(email="canary@project.test", exp=1)), signed(claims(), FOREIGN_KEY)):
        with pytest.raises(Unauthenticated) as raised:
            await users().caller(token, "")
        assert not any(part in raised.value.message for part in (*token.split("."), "canary"))
