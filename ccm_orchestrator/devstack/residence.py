"""Where a Supabase that stays lives: its files below the state directory, and who is at home."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ccm_orchestrator.adapters.rundir.processes import alive
from ccm_orchestrator.devstack.children import reaches, server_account
from ccm_orchestrator.domain.run import ProcessRef

DEFAULT_PORT = 54321
"""As the vendor's own command line has it."""
_ROOTS_PLACE = Path("/var/lib/ccm-orchestrator")
_CHECKOUT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Tenancy:
    """One time of running: whom `down` ends, and where the stack answers."""

    keeper: ProcessRef
    parts: tuple[ProcessRef, ...]
    """PostgreSQL and PostgREST."""
    url: str
    database_url: str
    sockets: str
    """Directory that goes with it."""
    since: str
    """ISO 8601."""

    @property
    def present(self) -> list[ProcessRef]:
        return [process for process in (self.keeper, *self.parts) if alive(process)]


class Residence:
    """Paths, and the documents in them. Secrets are in files that only their owner reads."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.keys = directory / "keys.json"
        self.key = directory / "key"
        self.jwt_secret = directory / "jwt-secret"
        self.log = directory / "keeper.log"
        self.lock = directory / "lock"
        self._tenancy = directory / "running.json"
        self._port = directory / "port"

    @property
    def postgrest_homes(self) -> tuple[Path, ...]:
        """Our own first: it is where it would be installed."""
        return (self.directory / "postgrest", _CHECKOUT / ".cache" / "postgrest")

    @property
    def stack(self) -> Path:
        """Of data and logs. PostgreSQL does not run as root, and may then have to live elsewhere."""
        account = server_account()
        if account is None or reaches(account, self.directory):
            return self.directory / "stack"
        mark = hashlib.sha256(str(self.directory).encode()).hexdigest()[:8]
        return _ROOTS_PLACE / f"dev-supabase-{mark}"

    def tenancy(self) -> Tenancy | None:
        """The last one known, which need not be alive any more."""
        document = _read(self._tenancy)
        if document is None:
            return None
        keeper, *parts = (ProcessRef(each["pid"], each["start"]) for each in document.pop("processes"))
        return Tenancy(keeper=keeper, parts=tuple(parts), **document)

    def move_in(self, tenancy: Tenancy) -> None:
        document = asdict(tenancy)
        keeper, parts = document.pop("keeper"), document.pop("parts")
        write_private(self._tenancy, json.dumps({"processes": [keeper, *parts], **document}))

    def move_out(self) -> None:
        self._tenancy.unlink(missing_ok=True)

    def key_document(self) -> Mapping[str, str] | None:
        return _read(self.keys)

    def keep_keys(self, document: Mapping[str, str]) -> None:
        write_private(self.keys, json.dumps(document))
        write_private(self.key, document["publishable_key"] + "\n")
        write_private(self.jwt_secret, document["jwt_secret"] + "\n")

    def port(self) -> int | None:
        """The one it had last: settings that name it stay good."""
        return int(self._port.read_text()) if self._port.exists() else None

    def keep_port(self, port: int) -> None:
        self._port.write_text(f"{port}\n")


def write_private(path: Path, text: str) -> None:
    """Complete or not at all."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    fresh.replace(path)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        text = path.read_text()
    except FileNotFoundError:
        return None
    document: dict[str, Any] = json.loads(text)
    return document
