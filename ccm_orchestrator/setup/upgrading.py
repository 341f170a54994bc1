"""Another version in place of this one, under agents that go on; and the way back when it does not get ready.

What is needed afterwards is imported before: from the installation on, another version's files lie in this one's place.
"""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from ccm_orchestrator import __version__
from ccm_orchestrator.adapters.sqlite import recovery
from ccm_orchestrator.errors import InputError, OrchestratorError
from ccm_orchestrator.settings import Settings
from ccm_orchestrator.setup.daemon_checks import address, health, holder
from ccm_orchestrator.setup.former import Former
from ccm_orchestrator.setup.installed import SELF_SERVICE, Installed, installed, require_version
from ccm_orchestrator.setup.renewing import FormerFiles
from ccm_orchestrator.setup.restarting import (
    STOP_S,
    Beginning,
    beginning_of,
    restart,
    wait_ready,
    way_of,
)
from ccm_orchestrator.setup.services import ServiceManager

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Update:
    """What would be done."""

    kind: str
    place: str
    current: str
    offered: str | None
    """None: nothing else is offered, or it is not ours to install."""
    steps: tuple[str, ...]
    ours: bool
    """Whether we can carry it out; else the steps are for a person."""


def planned_update(settings: Settings, config: Path | None, version: str | None) -> Update:
    """Raises: InputError, OrchestratorError when the index does not answer."""
    if version is not None:
        require_version(version)
    here = installed()
    if here.kind not in SELF_SERVICE:
        by_hand = (here.by_hand(version), "ccm-orchestrator service restart")
        return Update(here.kind, str(here.place), __version__, None, by_hand, ours=False)
    offered = here.offered(version)
    steps = _steps(settings, config, here, offered) if offered else ()
    return Update(here.kind, str(here.place), __version__, offered, steps, ours=True)


def _steps(settings: Settings, config: Path | None, here: Installed, offered: str) -> tuple[str, ...]:
    steps = [f"Keep {here.place} as it is, for the way back."]
    if settings.database.exists():
        steps.append(f"Back up the database into {_backups(settings)}.")
    steps.append(f"Run `{' '.join(here.installation(offered))}`.")
    how, manager = way_of(settings, config)
    if manager is not None and manager.renewal() is not None:
        steps.append("Have it write the service's files anew, where its own are others.")
    if manager is not None or _daemon(settings) is not None:
        steps.append(f"Start the daemon anew {how}. Agents go on.")
        steps.append(f"Go back to {__version__} if it does not get ready.")
    return tuple(steps)


def carry_out(settings: Settings, config: Path | None, offered: str, say: Say) -> None:
    """Raises: OrchestratorError when the version before is in place again, or when not even that worked."""
    here = installed()
    former = Former(settings, here.place)
    daemon = _Daemon(settings, config)
    former.keep()
    if settings.database.exists():
        kept = recovery.back_up(settings.database, _backups(settings), max(1, settings.backups.keep))
        say(f"Backed up the database as {kept.name}.")
    try:
        here.install(offered)
    except OrchestratorError as error:
        former.restore_environment()
        raise OrchestratorError(f"{__version__} is still in place, and its daemon went on. {error.message}") from error
    say(f"Installed {offered}.")
    try:
        if renewed := daemon.renew(here.command):
            say(renewed)
        if daemon.runs:
            say(f"The daemon was started anew {daemon.restart()}, and is ready. Agents went on.")
    except OrchestratorError as error:
        say(f"The daemon of {offered} does not get ready: {error.message}")
        _go_back(former, daemon, say)
        raise OrchestratorError(f"{__version__} is in place again; {offered} did not get ready.") from error
    former.forget()


def _go_back(former: Former, daemon: _Daemon, say: Say) -> None:
    daemon.stop()
    former.restore_environment()
    restored = former.restore_database()
    if restored:
        say(restored)
    daemon.put_back_files()
    daemon.begin()
    say(f"The daemon of {__version__} is ready. Agents went on.")


class _Daemon:
    """The one that runs before the update, and whatever follows it."""

    def __init__(self, settings: Settings, config: Path | None) -> None:
        self._settings = settings
        self._config = config
        self._how, self._manager = way_of(settings, config)
        self._files = FormerFiles(self._manager) if self._manager is not None else None
        pid = _daemon(settings)
        health(address(settings))  # loads all that a look at the next one needs
        self._begun: Beginning | None = beginning_of(pid) if pid is not None else None

    @property
    def runs(self) -> bool:
        return self._begun is not None or self._manager is not None

    def renew(self, command: Path) -> str | None:
        """The files of its service, by the version that is there now. What was done, for people."""
        return self._files.renew(command) if self._files is not None else None

    def put_back_files(self) -> None:
        if self._files is not None:
            self._files.put_back()

    def restart(self) -> str:
        """How. Returns when it is ready. Raises: OrchestratorError."""
        if _daemon(self._settings) is not None:
            return restart(self._settings, self._config).how
        _required(self._manager).restart()  # of another user: systemd waits until it is ready
        if platform.system() == "Darwin":
            wait_ready(self._settings, None)
        return self._how

    def stop(self) -> None:
        """Whatever became of the newer one. Agents go on."""
        if self._manager is not None:
            self._manager.stop()
            return
        pid = _daemon(self._settings)
        if pid is None:
            return
        process = psutil.Process(pid)
        with suppress(psutil.NoSuchProcess):
            process.terminate()
            _, alive = psutil.wait_procs([process], timeout=STOP_S)
            for hung in alive:
                hung.kill()
            psutil.wait_procs(alive, timeout=STOP_S)

    def begin(self) -> None:
        """Returns when it is ready. Raises: OrchestratorError."""
        child: subprocess.Popen[bytes] | None = None
        if self._manager is not None:
            self._manager.start()
        elif self._begun is not None:
            child = self._begun.again()
        if self._begun is not None:
            wait_ready(self._settings, None, child)


def _required(manager: ServiceManager | None) -> ServiceManager:
    if manager is None:
        raise InputError("The daemon ended meanwhile: start it, with `ccm-orchestrator serve` or its service.")
    return manager


def _daemon(settings: Settings) -> int | None:
    """Its process."""
    held = holder(settings.state_directory)
    return None if held is None or held.passing else held.pid


def _backups(settings: Settings) -> Path:
    return settings.database.parent / "backups"
