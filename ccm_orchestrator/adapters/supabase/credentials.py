"""With what this system proves who it is: the project's key in every request, and a token kept fresh by us."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

from ccm_orchestrator.adapters.supabase.keys import KeyKind, Signer, claims_of, kind_of
from ccm_orchestrator.errors import InvalidSettings
from ccm_orchestrator.security.secrets import Secret

TOKEN_S = 3600.0
"""How long a token that we sign is valid."""
RENEWED_AT = 0.5
"""Share of its time after which a token is replaced, long before REST or Realtime would refuse it."""
LOOK_INTERVAL_S = 5.0
"""Files are read again no more often than this."""
SKEW_STEP_S = 20.0
"""Servers forgive 30 s, and the header that tells their time counts in whole seconds."""
_SYSTEMS = uuid.UUID("5f0a3f6e-6a3b-4a55-9a53-0d8c5b1b6f0e")
"""Name space of the `sub` of systems."""

HOW_TO_PROVE = (
    "set `supabase.signing_key_file`, `supabase.jwt_secret` or `supabase.system_token` beside it, "
    "or use the project's secret key"
)


def subject_of(system_id: str) -> str:
    """The `sub` of a system's tokens: a UUID, as Supabase wants it, and always the same."""
    return str(uuid.uuid5(_SYSTEMS, system_id))


@dataclass(frozen=True, slots=True)
class Proofs:
    """What a machine holds. One of `token` (made by somebody else) and `signer` (we make our own) is enough with any
    key; with a secret key neither is needed, but then the key opens everything to this machine."""

    key: Secret
    token: Secret | None = None
    signer: Signer | None = None
    signed_with: Secret | None = None
    """What `signer` was made of."""

    def same_as(self, other: Proofs) -> bool:
        mine, others = ((held.key, held.token, held.signed_with) for held in (self, other))
        return [one and one.reveal() for one in mine] == [one and one.reveal() for one in others]


@dataclass(frozen=True, slots=True)
class _Minted:
    token: Secret
    renew_at: float
    """Unix time, on the server's clock."""


class Credentials:
    """Used from the store's loop and, for looks, from any thread."""

    def __init__(
        self,
        url: str,
        system_id: str,
        key: Secret,
        token: Secret | None = None,
        signer: Signer | None = None,
        wall: Callable[[], float] = time.time,
        read_again: Callable[[], Proofs] | None = None,
        signed_with: Secret | None = None,
    ) -> None:
        """`read_again`: what the files hold now, which somebody may have replaced (raises InvalidSettings)."""
        self._url = url
        self._system_id = system_id
        self._wall = wall
        self._read_again = read_again
        self._lock = threading.Lock()
        self._minted: _Minted | None = None
        self._skew_s = 0.0
        self._looked_at = 0.0
        self._take(Proofs(key, token, signer, signed_with))

    def _take(self, held: Proofs) -> None:
        self._held = held
        self._key, self._token, self._signer = held.key, held.token, held.signer
        self.kind = kind_of(held.key)
        self._problem = self._problem_with_key() or (held.token and self._problem_with_token(held.token)) or None
        self._minted = None

    def look_again(self) -> bool:
        """Whether the files hold something else than before; then that is what counts from now on."""
        if self._read_again is None or 0 <= self._wall() - self._looked_at < LOOK_INTERVAL_S:
            return False
        self._looked_at = self._wall()
        try:
            held = self._read_again()
        except InvalidSettings:
            return False  # half written, or taken away: what was read before may still be good
        if held.same_as(self._held):
            return False
        with self._lock:
            self._take(held)
        return True

    @property
    def key(self) -> Secret:
        """What Realtime's socket is opened with, and the header `apikey`."""
        return self._key

    @property
    def proof(self) -> str:
        """By what this machine proves who it is, in words."""
        if self._signer is not None:
            return f"tokens that it signs itself ({self._signer.algorithm})"
        return "the token in `supabase.system_token`" if self._token is not None else "the key alone"

    def headers(self) -> Mapping[str, str]:
        """A secret key that is no JWT stands in both headers: gateways take it as a bearer only beside itself."""
        bearer = self.bearer() or self._key
        return {"apikey": self._key.reveal(), "Authorization": f"Bearer {bearer.reveal()}"}

    def bearer(self) -> Secret | None:
        """The token of the moment, for `Authorization` and for Realtime's `set_auth`; None: the key must do."""
        if self._signer is not None:
            return self._fresh(self._signer)
        if self._token is not None:
            if self.expired() is not None and self.look_again():
                return self.bearer()
            return self._token
        return self._key if self.kind is KeyKind.SERVICE else None

    def renew(self) -> bool:
        """After the server refused the token: whether there is a new one to try."""
        if self.look_again():
            return True
        with self._lock:
            self._minted = None
        return self._signer is not None

    def server_clock(self, server_time: datetime) -> float:
        """How far the server's clock is ahead, in seconds. It decides what is valid, so tokens are made by it."""
        skew_s = server_time.timestamp() - self._wall()
        with self._lock:
            if abs(skew_s - self._skew_s) > SKEW_STEP_S:
                self._skew_s, self._minted = skew_s, None
        return skew_s

    def now(self) -> float:
        """Unix time on the server's clock, as far as it is known."""
        return self._wall() + self._skew_s

    def problem(self) -> str | None:
        """Why no server can accept this, seen without asking one; None when it may be right."""
        if self._problem is not None:
            self.look_again()
        return self._problem

    def expired(self) -> str | None:
        """The sentence for a given token, or a key, whose time is over; None when it is not, or we make our own."""
        if self._signer is not None:
            return None
        name, held = ("supabase.system_token", self._token) if self._token else ("supabase.key", self._key)
        until = (claims_of(held) or {}).get("exp")
        if not isinstance(until, int | float) or until > self.now():
            return None
        when = datetime.fromtimestamp(until, UTC).isoformat(timespec="seconds")
        return f"`{name}` expired at {when}: put a new one in its place; from a file it is taken up by itself."

    def _fresh(self, signer: Signer) -> Secret:
        with self._lock:
            now = self.now()
            minted = self._minted
            if minted is None or not minted.renew_at - TOKEN_S * RENEWED_AT <= now < minted.renew_at:
                minted = self._minted = _Minted(signer.sign(self._claims(now)), now + TOKEN_S * RENEWED_AT)
            return minted.token

    def _claims(self, now: float) -> Mapping[str, object]:
        return {
            "role": "authenticated",
            "aud": "authenticated",
            "iss": f"{self._url}/auth/v1",
            "sub": subject_of(self._system_id),
            "system_id": self._system_id,
            "iat": int(now),
            "exp": int(now + TOKEN_S),
        }

    def _problem_with_key(self) -> str | None:
        if not _sendable(self._key):
            return "`supabase.key` holds characters that no key has: copy it again, in one line and without quotes."
        kind, proven = self.kind, self._token is not None or self._signer is not None
        if kind is KeyKind.TOKEN:
            return (
                "`supabase.key` is the token of a user and no API key: put it into `supabase.system_token`, and the "
                "project's publishable key into `supabase.key`."
            )
        if kind is KeyKind.PUBLISHABLE and not proven:
            return f"`supabase.key` is a publishable key, with which nobody may claim tasks: {HOW_TO_PROVE}."
        if kind is KeyKind.UNKNOWN and not proven:
            return (
                f"`supabase.key` is no key of a Supabase project: copy one from its settings, API keys; {HOW_TO_PROVE}."
            )
        return self._foreign_key(kind)

    def _foreign_key(self, kind: KeyKind) -> str | None:
        """The older keys name their project, and so does the host of a hosted project."""
        project = (claims_of(self._key) or {}).get("ref") if kind is not KeyKind.UNKNOWN else None
        host = urlsplit(self._url).hostname or ""
        if project and host.endswith(".supabase.co") and host.split(".")[0] != project:
            return (
                f"`supabase.key` is of the project {project!r}, but `supabase.url` is {self._url}: take both from one."
            )
        return None

    def _problem_with_token(self, token: Secret) -> str | None:
        claims = claims_of(token)
        if claims is None or not _sendable(token):
            return "`supabase.system_token` is not a JWT: it has three parts with dots between them."
        role, system_id = claims.get("role"), claims.get("system_id")
        if role == "service_role":
            return None
        if role != "authenticated":
            return f"`supabase.system_token` has the role {role!r}, and needs the role 'authenticated'."
        if system_id != self._system_id:
            return (
                f"`supabase.system_token` is of the system {system_id!r}, but this one is {self._system_id!r}: "
                "get one whose claim `system_id` is the `system_id` of this machine's configuration."
            )
        return None


def _sendable(secret: Secret) -> bool:
    """May stand in a header. The HTTP client would quote in its error what may not."""
    text = secret.reveal()
    return text.isascii() and text.isprintable() and " " not in text and bool(text)
