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

    def __init__(self) -> None:
        self.publishable_key = f"sb_publishable_{secrets.token_urlsafe(16)}"
        self.secret_key = f"sb_secret_{secrets.token_urlsafe(24)}"
        self._signing_key = ec.generate_private_key(ec.SECP256R1())
        self._key_id = secrets.token_hex(8)
        self._former_secrets: list[str] = []
        self._use_secret(secrets.token_urlsafe(32))

    @classmethod
    def restored(cls, document: Mapping[str, str]) -> Keys:
        """Those that `document` described. Raises: KeyError, ValueError."""
        keys = cls()
        signing_key = ECAlgorithm.from_jwk(document["signing_key"])
        if not isinstance(signing_key, ec.EllipticCurvePrivateKey):
            raise ValueError("the signing key has no private part")
        keys._signing_key = signing_key
        keys._key_id = json.loads(document["signing_key"])["kid"]
        keys.jwt_secret = document["jwt_secret"]
        keys.publishable_key, keys.secret_key = document["publishable_key"], document["secret_key"]
        keys.anon_key, keys.service_key = document["anon_key"], document["service_key"]
        return keys

    def document(self) -> dict[str, str]:
        """All of it, as text: whoever reads it may do everything."""
        return {
            "publishable_key": self.publishable_key,
            "secret_key": self.secret_key,
            "anon_key": self.anon_key,
            "service_key": self.service_key,
            "jwt_secret": self.jwt_secret,
            "signing_key": self.private_jwk(),
        }

    def rotate_secret(self, *, keep_old: bool) -> None:
        """`keep_old`: tokens of the former secrets stay good. The keys of the older kind are new ones in any case."""
        self._former_secrets = [self.jwt_secret, *self._former_secrets] if keep_old else []
        self._use_secret(secrets.token_urlsafe(32))

    def is_api_key(self, text: str) -> bool:
        return text in {self.publishable_key, self.secret_key, self.anon_key, self.service_key}

    def token(self, role: str = "authenticated", *, algorithm: str = "HS256", **claims: object) -> str:
        """Good for an hour, unless `exp` says otherwise; a claim that is None is left out."""
        now = int(time.time())
        wanted = {"role": role, "aud": "authenticated", "iat": now, "exp": now + TOKEN_LIFE_S, **claims}
        told = {name: value for name, value in wanted.items() if value is not None}
        if algorithm == "ES256":
            return jwt.encode(told, self._signing_key, "ES256", {"kid": self._key_id})
        return jwt.encode(told, self.jwt_secret, algorithm)

    def public_jwks(self) -> dict[str, list[dict[str, str]]]:
        """As `/auth/v1/.well-known/jwks.json` gives it."""
        key = ECAlgorithm.to_jwk(self._signing_key.public_key(), as_dict=True)
        return {"keys": [{**key, "kid": self._key_id, "alg": "ES256", "use": "sig"}]}

    def private_jwk(self) -> str:
        """The key with which ES256 tokens are signed, as `supabase gen signing-key` writes one."""
        key = ECAlgorithm.to_jwk(self._signing_key, as_dict=True)
        return json.dumps({**key, "kid": self._key_id, "alg": "ES256", "use": "sig"})

    def jwks(self) -> str:
        """All keys that PostgREST shall accept, the shared secret included."""
        shared = [_shared_key(secret) for secret in (self.jwt_secret, *self._former_secrets)]
        return json.dumps({"keys": shared + self.public_jwks()["keys"]})

    def role_token(self, api_key: str) -> str | None:
        """What the gateway puts in the place of an opaque key; None for anything else."""
        role = {self.publishable_key: "anon", self.secret_key: "service_role"}.get(api_key)
        return self.token(role) if role else None

    def _use_secret(self, secret: str) -> None:
        self.jwt_secret = secret
        self.anon_key = self._api_key("anon")
        self.service_key = self._api_key("service_role")

    def _api_key(self, role: str) -> str:
        now = int(time.time())
        claims = {"iss": _ISSUER, "role": role, "iat": now, "exp": now + _KEY_LIFE_S}
        return jwt.encode(claims, self.jwt_secret, "HS256")


def _shared_key(secret: str) -> dict[str, str]:
    return {"kty": "oct", "alg": "HS256", "k": base64.urlsafe_b64encode(secret.encode()).rstrip(b"=").decode()}
