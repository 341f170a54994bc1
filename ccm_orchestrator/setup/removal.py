"""Taking an installation away: its services, and, when told, what it keeps."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ccm_orchestrator.adapters.state_lock import StateLock
from ccm_orchestrator.adapters.tmux.commands import NotConnected
from ccm_orchestrator.adapters.tmux.config import HOME_WORDS, PANE_OPTION
from ccm_orchestrator.adapters.tmux.server import run_tmux
from ccm_orchestrator.errors import InputError, OrchestratorError, StateDirectoryBusy, TmuxMissing
from ccm_orchestrator.settings import Settings, config_path
from ccm_orchestrator.setup.services import ServiceManager, service_manager
from ccm_orchestrator.setup.tmux_checks import ANSWER_S, address_of

MARKS = ("ccm.db", "daemon.lock", "api-token")
"""A state directory has one of them."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A service that a manager keeps."""

    name: str
    manager: ServiceManager


def kept_services(settings: Settings, config: Path | None) -> Sequence[Kept]:
    """Of the user and of the machine; none where there is no manager."""
    found = []
    for system in (False, True):
        try:
            manager = service_manager(settings, config, system)
        except InputError:
            continue
        status = manager.status()
        if status.installed or status.files:
            found.append(Kept("service of the machine" if system else "service of this user", manager))
    return found


def data_of(settings: Settings, config: Path | None) -> Sequence[Path]:
    """What a purge removes and what is there of it. Raises: InputError where that would remove something else."""
    state = settings.state_directory
    if state.exists():
        _require_ours(state)
    return [path for path in (config or config_path().parent, state) if path.exists() or path.is_symlink()]


def _require_ours(state: Path) -> None:
    """The setting may name any directory, and all that is in it would go."""
    real, home = state.resolve(), Path.home().resolve()
    if state.is_symlink() or home.is_relative_to(real):
        raise InputError(f"The state directory {state} is more than ours to remove: remove by hand what is in it.")
    if any(state.iterdir()) and not any((state / mark).exists() for mark in MARKS):
        raise InputError(f"{state} does not look like a state directory of ours: remove it by hand.")


def require_no_daemon(settings: Settings) -> None:
    """Raises: OrchestratorError while one runs that no service keeps."""
    if not settings.state_directory.exists():
        return
    try:
        with StateLock(settings.state_directory, passing=True):
            return
    except StateDirectoryBusy as error:
        raise OrchestratorError(f"A daemon still runs: end it, then repeat this. {error.message}") from error


def end_tmux_server(settings: Settings) -> Sequence[str]:
    """A sentence where one is there still, which no service kept. That of a daemon that runs stays, and one in which a
    person has a window. Raises: OrchestratorError when it does not answer."""
    try:
        require_no_daemon(settings)
    except OrchestratorError:
        return []
    try:
        address = address_of(settings)
        listed = run_tmux(address, ["list-panes", "-a", "-F", f"#{{{PANE_OPTION}}}\t#{{pane_start_command}}"], ANSWER_S)
        panes = [line.partition("\t") for line in listed.stdout.decode(errors="replace").splitlines()]
        if any(not run_id and HOME_WORDS not in command for run_id, _, command in panes):
            return [f"Left the tmux server at {address.socket_path}: somebody has a window of their own in it."]
        run_tmux(address, ["kill-server"], ANSWER_S)
    except (NotConnected, TmuxMissing):
        return []
    return [f"Ended the tmux server at {address.socket_path}."]


def purge(paths: Sequence[Path]) -> list[str]:
    """A sentence each. Raises: OrchestratorError."""
    done = []
    for path in paths:
        try:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise OrchestratorError(f"{path} cannot be removed: {error.strerror}.") from error
        done.append(f"Removed {path}.")
    return done
