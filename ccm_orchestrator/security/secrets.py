"""Secrets of one machine: made at the first start, kept in files that only their owner reads, never printed."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

from ccm_orchestrator.errors import InvalidSettings

SECRET_BYTES = 32
SHORTEST_SECRET = 43
"""Characters of the shortest secret that is believed: 256 bits in base 64."""
MOST_BYTES = 65_536
"""More than any key has."""
API_TOKEN_FILE = "api-token"
INTERNAL_SECRET_FILE = "internal-secret"


class Secret:
    """A secret text. It shows itself only to `reveal`, so that no log, traceback or error page can hold it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def matches(self, candidate: str | None) -> bool:
        """In a time that does not depend on where they differ."""
        if candidate is None:
            return False
        return hmac.compare_digest(self._value.encode(), candidate.encode("utf-8", "surrogatepass"))

    def __repr__(self) -> str:
        return "Secret(hidden)"


@dataclass(frozen=True, slots=True)
class LocalSecrets:
    api_token: Secret
    """What people's clients send; the command line reads it from the file without asking."""
    internal: Secret
    """What the machine's own programs send to `/internal`, and the root of the per-run tokens."""

    def run_token(self, run_id: str) -> str:
        """The token that the agent of this run, and no other, sends with its permission hook.

        Derived and not stored, so that it outlives the daemon.
        """
        return hmac.new(self.internal.reveal().encode(), f"run:{run_id}".encode(), hashlib.sha256).hexdigest()


def load_local_secrets(state_directory: Path) -> LocalSecrets:
    """Reads both secrets, and makes what is missing. Raises: InvalidSettings."""
    return LocalSecrets(
        load_or_create(state_directory / API_TOKEN_FILE), load_or_create(state_directory / INTERNAL_SECRET_FILE)
    )


def load_or_create(path: Path) -> Secret:
    """Raises: InvalidSettings when the file cannot be made, read, or trusted."""
    try:
        if not path.exists():
            _create(path)
    except OSError as error:
        raise InvalidSettings(f"Cannot create the secret file {path}: {error.strerror}.", path=str(path)) from error
    return read_secret(path)


def read_secret(path: Path) -> Secret:
    """Raises: InvalidSettings when it is missing, or when anybody but its owner could have read or written it."""
    content, status = _read(path)
    if not _private(status):
        raise InvalidSettings(
            f"The secret file {path} is open to other users: delete it, and the daemon makes a new one when it starts.",
            path=str(path),
        )
    value = content.decode("ascii", "replace").strip()
    if len(value) < SHORTEST_SECRET or not value.isprintable():
        raise InvalidSettings(
            f"The secret in {path} is shorter than 256 bits: delete the file, and the daemon makes a new one.",
            path=str(path),
        )
    return Secret(value)


def find_secret(
    value: str | None, file: Path | None, credential: str, credentials_directory: Path | None
) -> Secret | None:
    """Of somebody else's making: as given, from the user's own file, or from systemd's `credential`; None: nowhere.

    Raises: InvalidSettings.
    """
    if value is not None:
        return Secret(value)
    if file is not None:
        return _read_given(file, must_be_private=True)
    handed = credentials_directory / credential if credentials_directory is not None else None
    if handed is not None and handed.exists():
        return _read_given(handed, must_be_private=False)  # systemd guards its own directory, by other means
    return None


def _read_given(path: Path, must_be_private: bool) -> Secret:
    content, status = _read(path)
    if must_be_private and not _private(status):
        raise InvalidSettings(
            f"The secret file {path} is open to other users: `chmod 600 {path}`, and make the daemon's user its owner.",
            path=str(path),
        )
    value = content.decode("utf-8", "replace").strip()
    if not value:
        raise InvalidSettings(f"The secret file {path} is empty.", path=str(path))
    return Secret(value)


def _read(path: Path) -> tuple[bytes, os.stat_result]:
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES), os.fstat(file.fileno())
    except OSError as error:
        raise InvalidSettings(f"Cannot read the secret file {path}: {error.strerror}.", path=str(path)) from error


def _private(status: os.stat_result) -> bool:
    return status.st_uid == os.geteuid() and not stat.S_IMODE(status.st_mode) & 0o077


def _create(path: Path) -> None:
    """Whole or not at all: a second process that starts at the same time reads the one that was linked first."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(SECRET_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink()
