"""Keys of a Supabase project, old and new, and the keys with which tokens are signed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ccm_orchestrator.errors import InvalidSettings
from ccm_orchestrator.security.secrets import Secret

SHORTEST_SHARED_SECRET = 32
"""Characters that a secret for HS256 must have at least."""


class KeyKind(StrEnum):
    PUBLISHABLE = "publishable"
    """`sb_publishable_…`, or the older JWT with the role `anon`: anybody may know it, and it opens nothing of ours."""
    SECRET = "secret"
    """`sb_secret_…`: all rights, and no JWT."""
    SERVICE = "service"
    """The older JWT with the role `service_role`: all rights."""
    TOKEN = "token"
    """A JWT of another role, which is no API key."""
    UNKNOWN = "unknown"


def kind_of(key: Secret) -> KeyKind:
    text = key.reveal()
    if text.startswith("sb_publishable_"):
        return KeyKind.PUBLISHABLE
    if text.startswith("sb_secret_"):
        return KeyKind.SECRET
    claims = claims_of(key)
    if claims is None:
        return KeyKind.UNKNOWN
    return {"anon": KeyKind.PUBLISHABLE, "service_role": KeyKind.SERVICE}.get(str(claims.get("role")), KeyKind.TOKEN)


def claims_of(token: Secret) -> Mapping[str, Any] | None:
    """What a JWT says, unverified: only the server can verify it. None when it is no JWT."""
    try:
        claims: Mapping[str, Any] = jwt.decode(token.reveal(), options={"verify_signature": False})
    except jwt.PyJWTError:
        return None
    return claims


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs tokens that the project accepts."""

    algorithm: str
    key: Any = field(repr=False)
    key_id: str | None = None
    """`kid`: which of the project's keys this is. Realtime needs it for all but HS256."""

    def sign(self, claims: Mapping[str, object]) -> Secret:
        headers = {"kid": self.key_id} if self.key_id else None
        return Secret(jwt.encode(dict(claims), self.key, algorithm=self.algorithm, headers=headers))


def shared_signer(jwt_secret: Secret) -> Signer:
    """Of the older projects: one secret shared by all parts. Raises: InvalidSettings."""
    if len(jwt_secret.reveal()) < SHORTEST_SHARED_SECRET:
        raise InvalidSettings(
            f"`supabase.jwt_secret` is shorter than {SHORTEST_SHARED_SECRET} characters, so it is no JWT secret of a "
            "Supabase project: copy it from the project's settings, JWT keys, legacy JWT secret."
        )
    return Signer("HS256", jwt_secret.reveal())


def key_signer(material: Secret, key_id: str | None = None) -> Signer:
    """Of a private key: a JWK as `supabase gen signing-key` writes it (alone or in a list), or PEM.

    Raises: InvalidSettings.
    """
    text = material.reveal().strip()
    signer = _pem_signer(text, key_id) if text.startswith("-----") else _jwk_signer(text, key_id)
    if signer.key_id is None and signer.algorithm != "HS256":
        raise _unusable("it names no key id, which Realtime needs: set `supabase.signing_key_id`")
    return signer


def _unusable(problem: str) -> InvalidSettings:
    return InvalidSettings(
        f"The signing key for Supabase cannot be used: {problem}. "
        "Make one with `supabase gen signing-key --algorithm ES256` and import it into the project."
    )


def _pem_signer(text: str, key_id: str | None) -> Signer:
    try:
        key = load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError):  # their texts may quote the key
        raise _unusable("it is not a private key in PEM without a pass phrase") from None
    if isinstance(key, rsa.RSAPrivateKey):
        return Signer("RS256", key, key_id)
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        return Signer("ES256", key, key_id)
    raise _unusable("it is neither an RSA key nor one of the curve P-256")


def _jwk_signer(text: str, key_id: str | None) -> Signer:
    try:
        document = json.loads(text)
    except ValueError:
        raise _unusable("it is neither JSON nor PEM") from None
    found = document.get("keys", [document]) if isinstance(document, dict) else document
    found = found if isinstance(found, list) else []
    private = [key for key in found if isinstance(key, dict) and ("d" in key or key.get("kty") == "oct")]
    if not private:
        raise _unusable("it holds no private key")
    try:
        key = jwt.PyJWK(private[0], algorithm=_algorithm(private[0]))
    except (jwt.PyJWTError, ValueError, TypeError):
        raise _unusable("its JWK is damaged") from None
    return Signer(key.algorithm_name, key.key, private[0].get("kid") or key_id)


def _algorithm(jwk: Mapping[str, Any]) -> str:
    known = {("EC", "P-256"): "ES256", ("RSA", None): "RS256", ("oct", None): "HS256"}
    algorithm = known.get((str(jwk.get("kty")), jwk.get("crv")))
    if algorithm is None:
        raise _unusable("it is neither an RSA key nor one of the curve P-256")
    return algorithm
