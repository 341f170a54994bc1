"""People who are signed in to the Supabase project: their JWTs, verified here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Protocol

import jwt

from ccm_orchestrator.domain.caller import Caller, CallerKind, Scope
from ccm_orchestrator.errors import Forbidden, Unauthenticated
from ccm_orchestrator.security.jwks import VerifyingKey
from ccm_orchestrator.security.secrets import Secret

LEEWAY_S = 30.0
"""What clocks may differ by."""
LONGEST_TOKEN = 8_192
LONGEST_SUBJECT = 200
USER_ROLE = "authenticated"
_TOKEN = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
_REASONS: Mapping[type[jwt.PyJWTError], str] = {
    jwt.ExpiredSignatureError: "it has expired; sign in again",
    jwt.ImmatureSignatureError: "it is not valid yet; this machine's clock and the project's differ",
    jwt.InvalidAudienceError: "it is meant for another audience",
    jwt.InvalidIssuerError: "it was issued by somebody else",
    jwt.MissingRequiredClaimError: "it lacks a claim that every user's token has",
}


class Keys(Protocol):
    async def key_for(self, header: Mapping[str, Any]) -> VerifyingKey:
        """The key that the token's head asks for. Raises: Unauthenticated, IdentityUnavailable."""

    def flush(self) -> None:
        """Forgets what can be learned anew."""


class SharedSecret:
    """Of the older projects: one secret with which all tokens are signed."""

    def __init__(self, secret: Secret) -> None:
        self._key = VerifyingKey("HS256", secret.reveal().encode())

    async def key_for(self, header: Mapping[str, Any]) -> VerifyingKey:
        return self._key

    def flush(self) -> None:
        """There is nothing that could be learned anew."""


class UserTokens:
    def __init__(
        self,
        issuer: str,
        audience: str,
        keys: Keys,
        scopes: frozenset[Scope],
        grants: Mapping[str, frozenset[Scope]],
    ) -> None:
        """`scopes` are every user's; `grants` (by user id) are added to them."""
        self._issuer = issuer
        self._audience = audience
        self._keys = keys
        self._scopes = scopes
        self._grants = grants

    async def caller(self, token: str, source: str) -> Caller:
        """Raises: Unauthenticated; Forbidden (a good token, of nobody who may call); IdentityUnavailable."""
        claims = await self._verified(token)
        _require_person(claims)
        user: str = claims["sub"]
        scopes = self._scopes | self._grants.get(user, frozenset())
        if not scopes:
            raise Forbidden("This user may do nothing here: `users.scopes` and `users.grants` name no scope for them.")
        return Caller(CallerKind.USER, user, scopes, owner=user, source=source)

    def flush(self) -> None:
        self._keys.flush()

    async def _verified(self, token: str) -> Mapping[str, Any]:
        header = _header(token)
        key = await self._keys.key_for(header)
        if header.get("alg") != key.algorithm:
            raise Unauthenticated("The user token is refused: its algorithm is not that of the project's key.")
        try:
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=[key.algorithm],
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
            reason = next((words for kind, words in _REASONS.items() if isinstance(error, kind)), "it is not valid")
            raise Unauthenticated(f"The user token is refused: {reason}.") from None
        subject = claims["sub"]
        if not isinstance(subject, str) or not 0 < len(subject) <= LONGEST_SUBJECT or not subject.isprintable():
            raise Unauthenticated("The user token is refused: it names no user (`sub`).")
        return claims


def _header(token: str) -> Mapping[str, Any]:
    """What it says of itself, unverified: enough to look up the one key it may be signed with."""
    header: Mapping[str, Any] | None = None
    if len(token) <= LONGEST_TOKEN and _TOKEN.fullmatch(token):
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            header = None
    if header is None:
        raise Unauthenticated("The user token is refused: it is no JWT.")
    if "crit" in header or "b64" in header:
        raise Unauthenticated("The user token is refused: it demands an extension that nobody here knows.")
    return header


def _require_person(claims: Mapping[str, Any]) -> None:
    """The project signs more than its users' tokens: API keys, tokens of systems, tokens of the nameless."""
    if claims.get("role") != USER_ROLE:
        raise Forbidden("The token is no user's: only those with the role `authenticated` are.")
    if "system_id" in claims:
        raise Forbidden("The token is a machine's, and opens the shared queue alone.")
    if claims.get("is_anonymous"):
        raise Forbidden("The token is of somebody who signed in without a name.")
