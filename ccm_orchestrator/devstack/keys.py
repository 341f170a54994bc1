"""The keys of the stack: what signs tokens, and the two kinds of API keys that a project hands out."""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Mapping

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

_ISSUER = "ccm-devstack"
_KEY_LIFE_S = 10 * 365 * 86400
TOKEN_LIFE_S = 3600


class Keys:
    """Tokens are signed with a shared secret (HS256) or with a key of its own (ES256); both are accepted."""

    def __init__(self, jwt_secret: str | None = None) -> None:
        self.jwt_secret = jwt_secret or secrets.token_urlsafe(32)
        self.publishable_key = f"sb_publishable_{secrets.token_urlsafe(16)}"
        self.secret_key = f"sb_secret_{secrets.token_urlsafe(24)}"
        self._signing_key = ec.generate_private_key(ec.SECP256R1())
        self._key_id = secrets.token_hex(8)

    @property
    def anon_key(self) -> str:
        return self._api_key("anon")

    @property
    def service_key(self) -> str:
        return self._api_key("service_role")

    def token(self, role: str = "authenticated", *, algorithm: str = "HS256", **claims: object) -> str:
        """Good for an hour, unless `exp` says otherwise; a claim that is None is left out."""
        now = int(time.time())
        wanted = {"role": role, "aud": "authenticated", "iat": now, "exp": now + TOKEN_LIFE_S, **claims}
        told = {name: value for name, value in wanted.items() if value is not None}
        if algorithm == "ES256":
            return jwt.encode(told, self._signing_key, "ES256", {"kid": self._key_id})
        return jwt.encode(told, self.jwt_secret, algorithm)

    def public_jwks(self) -> dict[str, object]:
        """As `/auth/v1/.well-known/jwks.json` gives it."""
        key = ECAlgorithm.to_jwk(self._signing_key.public_key(), as_dict=True)
        return {"keys": [{**key, "kid": self._key_id, "alg": "ES256", "use": "sig"}]}

    def jwks(self) -> str:
        """All keys that PostgREST shall accept, the shared secret included."""
        secret = base64.urlsafe_b64encode(self.jwt_secret.encode()).rstrip(b"=").decode()
        shared = {"kty": "oct", "alg": "HS256", "k": secret}
        public = self.public_jwks()["keys"]
        assert isinstance(public, list)
        return json.dumps({"keys": [shared, *public]})

    def role_token(self, api_key: str) -> str | None:
        """What the gateway puts in the place of an opaque key; None for anything else."""
        roles: Mapping[str, str] = {self.publishable_key: "anon", self.secret_key: "service_role"}
        role = roles.get(api_key)
        return self.token(role) if role else None

    def _api_key(self, role: str) -> str:
        now = int(time.time())
        claims = {"iss": _ISSUER, "role": role, "iat": now, "exp": now + _KEY_LIFE_S}
        return jwt.encode(claims, self.jwt_secret, "HS256")
