"""The daemon as a service that starts with the machine or the login, and the tmux server as another beside it.

Two services, because a service manager ends whatever a service has started: agents that lived in the daemon's own would
end with every restart of it.
"""

from __future__ import annotations

import getpass
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ccm_orchestrator.errors import InputError, OrchestratorError
from ccm_orchestrator.settings import Settings
from ccm_orchestrator.setup.service_files import DAEMON, LABELS, TMUX, Installation, launch_agents, systemd_units

COMMAND_TIMEOUT_S = 150.0
"""Longer than the daemon's own TimeoutStartSec: `start` returns when it is ready."""


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    installed: bool
    daemon: str
    """`active`, `activating`, `failed`, `inactive`; `not installed`."""
    tmux: str
    restarts: int
    """How often the manager started the daemon anew since it was installed or the machine began."""
    starts_with: str
    """`the machine`, `login`, or empty: nothing starts it."""
    files: tuple[str, ...] = field(default=())


class ServiceManager(Protocol):
    def install(self) -> Sequence[str]:
        """What was done, a sentence each; nothing when all was so already. Raises: OrchestratorError."""

    def uninstall(self, with_agents: bool) -> Sequence[str]:
        """Agents go on unless they are to be ended, too. Data and configuration stay."""

    def restart(self) -> None:
        """The daemon alone; agents go on."""

    def status(self) -> ServiceStatus: ...


def service_manager(settings: Settings, config: Path | None, system: bool) -> ServiceManager:
    """Of this machine. Raises: InputError when it has none that we know."""
    installation = describe_installation(settings, config)
    if platform.system() == "Darwin":
        if system:
            raise InputError("On macOS the services belong to a login: leave `--system` out.")
        return Launchd(installation)
    if shutil.which("systemctl") is None:
        raise InputError(
            "There is no systemd here: let whatever starts programs on this machine run `ccm-orchestrator serve`, and "
            "`ccm-orchestrator tmux-server` beside it with the setting `tmux.start_command`."
        )
    return Systemd(installation, system)


def describe_installation(settings: Settings, config: Path | None) -> Installation:
    beside = Path(sys.executable).with_name("ccm-orchestrator")
    found = beside if beside.exists() else Path(shutil.which("ccm-orchestrator") or sys.executable)
    return Installation(
        executable=found,
        user=os.environ.get("SUDO_USER") or getpass.getuser(),
        home=Path.home(),
        path=os.environ.get("PATH", os.defpath),
        config=config.resolve() if config else None,
        state_directory=settings.state_directory,
    )


class Systemd:
    """Of the user, or of the machine (which needs root)."""

    def __init__(self, installation: Installation, system: bool, directory: Path | None = None) -> None:
        """`directory`: of the unit files, instead of systemd's own."""
        self._installation = installation
        self._system = system
        user_units = Path(os.environ.get("XDG_CONFIG_HOME") or installation.home / ".config") / "systemd" / "user"
        self._directory = directory or (Path("/etc/systemd/system") if system else user_units)

    def install(self) -> Sequence[str]:
        done = self._write(systemd_units(self._installation, self._system))
        if done:
            self._systemctl("daemon-reload")
        if not self._system:
            done += self._linger()
        self._systemctl("enable", self._name(TMUX), self._name(DAEMON))
        self._systemctl("start", self._name(TMUX))
        self._systemctl("restart" if done else "start", self._name(DAEMON))
        return done

    def uninstall(self, with_agents: bool) -> Sequence[str]:
        done = []
        for name in (DAEMON, *((TMUX,) if with_agents else ())):
            if self._properties(name).get("LoadState") == "loaded":
                self._systemctl("disable", "--now", self._name(name))
                done.append(f"Stopped {self._name(name)}.")
        if not with_agents and self._properties(TMUX).get("LoadState") == "loaded":
            self._systemctl("disable", self._name(TMUX))
            done.append(f"{self._name(TMUX)} goes on with its agents until the machine or the login ends.")
        for file in self._files():
            if file.exists() and (with_agents or DAEMON + "." in file.name or DAEMON + "@" in file.name):
                file.unlink()
                done.append(f"Removed {file}.")
        self._systemctl("daemon-reload")
        return done

    def restart(self) -> None:
        self._systemctl("restart", self._name(DAEMON))

    def status(self) -> ServiceStatus:
        daemon, tmux = self._properties(DAEMON), self._properties(TMUX)
        installed = daemon.get("LoadState") == "loaded"
        files = tuple(str(file) for file in self._files() if file.exists())
        enabled = daemon.get("UnitFileState") == "enabled"
        with_machine = self._system or self._lingers()
        return ServiceStatus(
            installed,
            daemon.get("ActiveState", "inactive") if installed else "not installed",
            tmux.get("ActiveState", "inactive") if tmux.get("LoadState") == "loaded" else "not installed",
            int(daemon.get("NRestarts") or 0),
            ("the machine" if with_machine else "login") if enabled else "",
            files,
        )

    def _write(self, units: Mapping[str, str]) -> list[str]:
        done = []
        for name, text in units.items():
            file = self._directory / name
            if not file.exists() or file.read_text(encoding="utf-8") != text:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
                done.append(f"Wrote {file}.")
        return done

    def _files(self) -> Sequence[Path]:
        return [self._directory / name for name in systemd_units(self._installation, self._system)]

    def _linger(self) -> list[str]:
        """Without it the user's manager, and every agent, ends with the last login."""
        if self._lingers():
            return []
        user = self._installation.user
        asked = _run(["loginctl", "enable-linger", user])
        if asked.returncode:
            return [
                f"Agents will end when {user} logs out: `sudo loginctl enable-linger {user}` prevents that "
                f"({asked.stderr.strip()})."
            ]
        return [f"{user}'s services now go on after logout (linger)."]

    def _lingers(self) -> bool:
        return _run(["loginctl", "show-user", self._installation.user, "-p", "Linger"]).stdout.strip() == "Linger=yes"

    def _name(self, unit: str) -> str:
        return f"{unit}@{self._installation.user}.service" if self._system else f"{unit}.service"

    def _properties(self, unit: str) -> Mapping[str, str]:
        wanted = "LoadState,ActiveState,UnitFileState,NRestarts"
        shown = _run([*self._manager, "show", self._name(unit), f"--property={wanted}"]).stdout
        return dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)

    @property
    def _manager(self) -> list[str]:
        return ["systemctl"] if self._system else ["systemctl", "--user"]

    def _systemctl(self, *arguments: str) -> None:
        _must([*self._manager, *arguments])


class Launchd:
    """Written after Apple's description of the keys; it has not been run by us on a Mac."""

    def __init__(self, installation: Installation, directory: Path | None = None) -> None:
        self._installation = installation
        self._directory = directory or installation.home / "Library" / "LaunchAgents"
        self._domain = f"gui/{os.getuid()}"

    def install(self) -> Sequence[str]:
        done = []
        for name, content in reversed(list(launch_agents(self._installation).items())):  # tmux first
            file = self._directory / name
            if file.exists() and file.read_bytes() == content:
                continue
            if file.exists():
                _run(["launchctl", "bootout", f"{self._domain}/{file.stem}"])
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            _must(["launchctl", "bootstrap", self._domain, str(file)])
            done.append(f"Wrote and loaded {file}.")
        return done

    def uninstall(self, with_agents: bool) -> Sequence[str]:
        done = []
        for name in (DAEMON, *((TMUX,) if with_agents else ())):
            file = self._directory / f"{LABELS[name]}.plist"
            if file.exists():
                _run(["launchctl", "bootout", f"{self._domain}/{LABELS[name]}"])
                file.unlink()
                done.append(f"Unloaded and removed {file}.")
        return done

    def restart(self) -> None:
        _must(["launchctl", "kickstart", "-k", f"{self._domain}/{LABELS[DAEMON]}"])

    def status(self) -> ServiceStatus:
        files = tuple(str(file) for name in LABELS.values() if (file := self._directory / f"{name}.plist").exists())
        states = {name: self._state(label) for name, label in LABELS.items()}
        return ServiceStatus(bool(files), states[DAEMON], states[TMUX], 0, "login" if files else "", files)

    def _state(self, label: str) -> str:
        shown = _run(["launchctl", "print", f"{self._domain}/{label}"])
        if shown.returncode:
            return "not installed"
        return "active" if "state = running" in shown.stdout else "inactive"


def _run(argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Raises: OrchestratorError when it cannot be run or does not come back."""
    try:
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=COMMAND_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise OrchestratorError(f"`{' '.join(argv)}` cannot be run: {error}") from error


def _must(argv: Sequence[str]) -> None:
    done = _run(argv)
    if done.returncode:
        said = done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}"
        raise OrchestratorError(f"`{' '.join(argv)}` failed: {said}")
