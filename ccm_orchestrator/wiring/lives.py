"""What the daemon starts and stops, and is loaded late: it is known here by its verbs only."""

from __future__ import annotations

from typing import Protocol

from ccm_orchestrator.engine.heartbeats import Heart
from ccm_orchestrator.engine.queues import Queue
from ccm_orchestrator.wiring.probes import Health


class Server(Protocol):
    async def start(self) -> None: ...

    async def serving(self) -> None:
        """Returns when it has ended by itself."""

    async def stop(self) -> None: ...


class Remote(Protocol):
    """A task store that is somewhere else, with its own life."""

    queue: Queue

    async def start(self) -> None:
        """Waits for nobody for long."""

    def report(self, heart: Heart) -> None:
        """That heart beats from now on while its own life goes on."""

    async def stop(self) -> None: ...

    def health(self) -> Health: ...

    def introduce_again(self) -> None:
        """The projects that are registered here have changed."""
