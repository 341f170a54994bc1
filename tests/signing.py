"""A Supabase project's signing of tokens, and people who forge them."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ISSUER = "https://project.test/auth/v1"
ANNA = "6b1f0c2e-8a2f-4a51-9d55-1d9f6a3f0001"
BELA = "6b1f0c2e-8a2f-4a51-9d55-1d9f6a3f0002"
SHARED = "a-shared-secret-of-an-older-project-0123456789"

EC_KEY = ec.generate_private_key(ec.SECP256R1())
RSA_KEY = rsa.generate_private_key(65537, 2048)
ED_KEY = ed25519.Ed25519PrivateKey.generate()
FOREIGN_KEY = ec.generate_private_key(ec.SECP256R1())


def claims(user: str = ANNA, **changes: Any) -> dict[str, Any]:
    """What Supabase says of a person; a change to None leaves the claim out."""
    now = int(time.time())
    said = {"sub": user, "role": "authenticated", "aud": "authenticated", "iss": ISSUER, "iat": now, "exp": now + 3600}
    said |= {"is_anonymous": False, "aal": "aal1", "session_id": "s", "email": "anna@project.test"}
    return {name: value for name, value in (said | changes).items() if value is not None}


def signed(
    said: Mapping[str, Any] | None = None,
    key: Any = EC_KEY,
    algorithm: str = "ES256",
    kid: str | None = "ec",
    **header: Any,
) -> str:
    named = {"kid": kid} if kid is not None else {}
    return jwt.encode(dict(said or claims()), key, algorithm=algorithm, headers={**named, **header})


def public_jwk(key: Any, algorithm: str, kid: str, **more: Any) -> dict[str, Any]:
    known = jwt.get_algorithm_by_name(algorithm)
    jwk: dict[str, Any] = json.loads(known.to_jwk(key.public_key()))
    return {**jwk, "kid": kid, "alg": algorithm, "use": "sig", **more}


def jwk_set(*more: Mapping[str, Any]) -> bytes:
    keys = [public_jwk(EC_KEY, "ES256", "ec"), public_jwk(RSA_KEY, "RS256", "rsa"), public_jwk(ED_KEY, "EdDSA", "ed")]
    return json.dumps({"keys": [*keys, *more]}).encode()


def public_pem(key: Any) -> bytes:
    pem: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem


def forged(header: Mapping[str, Any], said: Mapping[str, Any], signature: bytes = b"") -> str:
    """Put together by hand, as no library would."""
    parts = (json.dumps(header).encode(), json.dumps(said).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)
