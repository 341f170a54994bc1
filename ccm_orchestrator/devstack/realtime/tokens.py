"""Who a token says its bearer is, with the rules of Realtime: `role` and `exp` are needed, and no leeway is given."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import jwt

_KEY_TYPES = {"ES256": "EC", "RS256": "RSA", "EdDSA": "OKP"}
OPAQUE_PREFIX = "sb_"
"""What keys of the newer kind begin with. They are no tokens: Realtime ignores them where it expects one."""


@dataclass(frozen=True, slots=True)
class Claims:
    role: str
    expires_at: float
    text: str = field(repr=False)
    """All of them as JSON: what policies see in `request.jwt.claims`."""


class TokenRefused(Exception):
    """The token proves nothing."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.message = message
        """Without the code: what a channel is told when its token ends."""


class TokenCheck:
    def __init__(self, secret: str, jwks: Mapping[str, object] | None = None) -> None:
        """`jwks`: the public keys of tokens that are signed with ES256, RS256 or EdDSA."""
        self._secret = secret
        self._keys = {key.key_id: key for key in jwt.PyJWKSet.from_dict(dict(jwks)).keys} if jwks else {}

    def claims(self, token: str, now: float) -> Claims:
        """Raises: TokenRefused."""
        claims = self._verified(token)
        expires_at, role = claims.get("exp"), claims.get("role")
        if isinstance(expires_at, int | float):
            refuse_expired(expires_at, now)
        if not isinstance(role, str) or not isinstance(expires_at, int | float):
            raise TokenRefused("InvalidJWTToken", "Fields `role` and `exp` are required in JWT")
        return Claims(role, float(expires_at), json.dumps(claims))

    def _verified(self, token: str) -> dict[str, object]:
        try:
            header = jwt.get_unverified_header(token)
            options: jwt.types.Options = {"verify_exp": False, "verify_aud": False, "verify_iat": False}
            claims: dict[str, object] = jwt.decode(token, self._key(header), [header["alg"]], options)
        except jwt.InvalidSignatureError as error:
            raise TokenRefused("JwtSignatureError", "Failed to validate JWT signature") from error
        except (jwt.InvalidTokenError, KeyError) as error:
            raise TokenRefused("MalformedJWT", "The token provided is not a valid JWT") from error
        return claims

    def _key(self, header: Mapping[str, object]) -> jwt.PyJWK | str:
        """Symmetric tokens fall back to the shared secret; others need a `kid` that names a key of their type."""
        algorithm = str(header["alg"])
        if algorithm in {"HS256", "HS384", "HS512"}:
            return self._secret
        key = self._keys.get(str(header.get("kid")))
        if key is None or key.key_type != _KEY_TYPES.get(algorithm):
            raise TokenRefused("JwtSignerError", "Failed to generate JWT signer")
        return key


def refuse_expired(expires_at: float, now: float) -> None:
    """Raises: TokenRefused, from the second of the expiry on."""
    if now >= expires_at:
        message = f"Token has expired {int(now - expires_at)} seconds ago"
        raise TokenRefused("InvalidJWTToken", message)
