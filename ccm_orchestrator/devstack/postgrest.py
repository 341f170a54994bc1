"""PostgREST in front of the database."""

from __future__ import annotations

import random
import signal
import socket
from pathlib import Path

import httpx

from ccm_orchestrator.devstack.children import Child
from ccm_orchestrator.devstack.programs import Programs

_START_LIMIT_S = 30.0
_PORTS = range(20000, 30000)
"""Below those that the kernel gives to outgoing connections, so that none is lost between two starts."""


def free_port() -> int:
    while True:
        port = random.choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class PostgRest:
    """`start`, `stop`, and `start` again keep the address."""

    def __init__(self, programs: Programs, directory: Path) -> None:
        self._configuration = directory / "postgrest.conf"
        self._jwks = directory / "jwks.json"
        self._port = free_port()
        self._admin_port = free_port()
        self.child = Child("PostgREST", [programs.postgrest, self._configuration], directory / "postgrest.log")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def configure(self, database_url: str, jwks: str) -> None:
        self._write_keys(jwks)
        settings: dict[str, str | int] = {
            "db-uri": database_url,
            "db-schemas": "public",
            "db-anon-role": "anon",
            "db-pool": 10,
            "jwt-secret": f"@{self._jwks}",
            "server-host": "127.0.0.1",
            "server-port": self._port,
            "admin-server-port": self._admin_port,
            "log-level": "error",
        }
        lines = (f"{name} = {value if isinstance(value, int) else _quoted(value)}" for name, value in settings.items())
        self._configuration.write_text("\n".join(lines) + "\n")

    def start(self) -> None:
        """Returns when it is ready. Raises: DevStackError."""
        self.child.start(orphaned=signal.SIGKILL)
        self.child.wait_until(self.ready, _START_LIMIT_S)

    def stop(self) -> None:
        self.child.stop(signal.SIGKILL)  # it has nothing to lose, and waits for open connections otherwise

    def ready(self) -> bool:
        """Connected to the database, with the schema read."""
        try:
            answer = httpx.get(f"http://127.0.0.1:{self._admin_port}/ready", timeout=5, trust_env=False)
        except httpx.HTTPError:
            return False
        return answer.status_code == httpx.codes.OK

    def use_keys(self, jwks: str) -> None:
        """It takes them a moment later."""
        self._write_keys(jwks)
        self.child.send(signal.SIGUSR2)

    def _write_keys(self, jwks: str) -> None:
        """Never half a file."""
        fresh = self._jwks.with_suffix(".new")
        fresh.write_text(jwks)
        fresh.chmod(0o600)
        fresh.replace(self._jwks)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
