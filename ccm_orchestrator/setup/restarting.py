"""Starts the daemon anew as it was started: by the service that keeps it, else by a signal and its own command line."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from ccm_orchestrator.errors import InputError, OrchestratorError
from ccm_orchestrator.settings import Settings
from ccm_orchestrator.setup.daemon_checks import address, health, holder
from ccm_orchestrator.setup.services import ServiceManager, service_manager

READY_S = 60.0
STOP_S = 20.0
KEEPER_S = 4.0
"""In which whoever else keeps the daemon would have started it anew."""
LOOK_S = 0.1


@dataclass(frozen=True, slots=True)
class Restart:
    how: str
    """What was done, for people."""
    before: int
    after: int
    """Processes."""


def running_daemon(settings: Settings) -> int:
    """Its process. Raises: InputError when none runs, or none that answers."""
    held = holder(settings.state_directory)
    if held is None or held.passing or held.pid is None:
        raise InputError("No daemon runs: start it first, with `ccm-orchestrator serve` or its service.")
    if health(address(settings)) is None:
        raise InputError(f"The daemon (process {held.pid}) does not answer: see what `ccm-orchestrator doctor` says.")
    return held.pid


def way_of(settings: Settings, config: Path | None) -> tuple[str, ServiceManager | None]:
    """In words, and the manager whose service it is; None: a signal."""
    for system, manager in _managers(settings, config):
        if manager.status().daemon == "active":
            return f"by its {'system' if system else 'user'} service", manager
    return "by SIGTERM, and then its own command line again, in the background", None


def _managers(settings: Settings, config: Path | None) -> Iterator[tuple[bool, ServiceManager]]:
    if platform.system() == "Linux" and not Path("/run/systemd/system").is_dir():
        return
    for system in (False, True) if platform.system() == "Linux" else (False,):
        with suppress(InputError):
            yield system, service_manager(settings, config, system)


@dataclass(frozen=True, slots=True)
class Beginning:
    """How a daemon was begun that no service keeps."""

    argv: Sequence[str]
    directory: str
    environment: Mapping[str, str]

    def again(self) -> subprocess.Popen[bytes]:
        quiet = subprocess.DEVNULL
        return subprocess.Popen(
            self.argv,
            env=self.environment,
            cwd=self.directory,
            stdin=quiet,
            stdout=quiet,
            stderr=quiet,
            start_new_session=True,
        )


def beginning_of(pid: int) -> Beginning:
    process = psutil.Process(pid)
    try:
        environment = process.environ()
    except psutil.AccessDenied:
        environment = dict(os.environ)
    return Beginning(process.cmdline(), process.cwd(), environment)


def restart(settings: Settings, config: Path | None) -> Restart:
    """Returns when the next daemon is ready. Raises: OrchestratorError."""
    before = running_daemon(settings)
    how, manager = way_of(settings, config)
    child = None
    if manager is not None:
        manager.restart()
    else:
        how, child = _by_signal(settings, before)
    return Restart(how, before, wait_ready(settings, before, child))


def _by_signal(settings: Settings, pid: int) -> tuple[str, subprocess.Popen[bytes] | None]:
    begun, process = beginning_of(pid), psutil.Process(pid)
    process.send_signal(signal.SIGTERM)
    _wait(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE, STOP_S, "The daemon goes on.")
    deadline = time.monotonic() + KEEPER_S
    while time.monotonic() < deadline:
        held = holder(settings.state_directory)
        if held is not None and not held.passing:
            return "by SIGTERM; whoever keeps it started it anew", None
        time.sleep(LOOK_S)
    return "by SIGTERM, and then its own command line again, in the background", begun.again()


def wait_ready(settings: Settings, before: int | None, child: subprocess.Popen[bytes] | None = None) -> int:
    """The process of a daemon that is not `before`. Raises: OrchestratorError, at once when `child` has ended."""
    found: list[int] = []

    def another_answers() -> bool:
        if child is not None and child.poll() is not None:
            raise OrchestratorError(f"The next daemon ended with {child.returncode} before it was ready.")
        held, answer = holder(settings.state_directory), health(address(settings))
        ready = answer is not None and answer.status_code == 200
        if held is None or held.pid in (None, before) or held.passing or not ready:
            return False
        found.append(held.pid or 0)
        return True

    _wait(another_answers, READY_S, f"The next daemon is not ready; see {settings.state_directory / 'logs'}.")
    return found[-1]


def _wait(condition: Callable[[], bool], limit_s: float, otherwise: str) -> None:
    """Raises: OrchestratorError."""
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            raise OrchestratorError(otherwise)
        time.sleep(LOOK_S)
