"""The services as launchd keeps them, for a login on macOS."""

from __future__ import annotations

import os
import plistlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ccm_orchestrator.errors import OrchestratorError
from ccm_orchestrator.setup.calls import must, run
from ccm_orchestrator.setup.service_files import DAEMON, LABELS, TMUX, Installation, Renewal, launch_agents, renewal_of
from ccm_orchestrator.setup.service_status import ServiceStatus

NOT_INSTALLED = "not installed"
END_S = 30.0
"""Longer than ExitTimeOut, after which launchd kills."""
LOOK_S = 0.1


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
            same = file.exists() and file.read_bytes() == content
            if same and self._state(file.stem) != NOT_INSTALLED:
                continue
            self._unload(file.stem)
            if not same:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
            run(["launchctl", "enable", f"{self._domain}/{file.stem}"])
            must(["launchctl", "bootstrap", self._domain, str(file)])
            done.append(f"{'Loaded' if same else 'Wrote and loaded'} {file}.")
        return done

    def write_files(self) -> Sequence[str]:
        """launchd reads them when it loads the jobs the next time: with the next login, if not before."""
        done = []
        for name, content in launch_agents(self._installation).items():
            file = self._directory / name
            if not file.exists() or file.read_bytes() != content:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
                done.append(f"Wrote {file}; launchd reads it with the next login.")
        return done

    def renewal(self) -> Renewal | None:
        files = [self._directory / f"{label}.plist" for label in LABELS.values()]
        there = {file.name: file.read_bytes() for file in files if file.exists()}
        daemon = there.get(f"{LABELS[DAEMON]}.plist")
        variables = plistlib.loads(daemon).get("EnvironmentVariables", {}) if daemon else {}
        path = str(variables.get("PATH", self._installation.path))
        shipped = launch_agents(replace(self._installation, path=path))
        return renewal_of(self._installation, path, system=False) if there == shipped else None

    def put_back(self, files: Mapping[Path, bytes]) -> None:
        for file, content in files.items():
            file.write_bytes(content)

    def uninstall(self, with_agents: bool) -> Sequence[str]:
        done = []
        for name in (DAEMON, *((TMUX,) if with_agents else ())):
            file = self._directory / f"{LABELS[name]}.plist"
            if file.exists():
                self._unload(LABELS[name])
                file.unlink()
                done.append(f"Unloaded and removed {file}.")
        return done

    def _unload(self, label: str) -> None:
        """Returns when it has ended: until then launchd refuses to load it again. Raises: OrchestratorError."""
        run(["launchctl", "bootout", f"{self._domain}/{label}"])
        deadline = time.monotonic() + END_S
        while self._state(label) != NOT_INSTALLED:
            if time.monotonic() > deadline:
                raise OrchestratorError(
                    f"launchd does not let go of {label}: see `launchctl print {self._domain}/{label}`."
                )
            time.sleep(LOOK_S)

    def restart(self) -> None:
        must(["launchctl", "kickstart", "-k", f"{self._domain}/{LABELS[DAEMON]}"])

    def stop(self) -> None:
        self._unload(LABELS[DAEMON])

    def start(self) -> None:
        must(["launchctl", "bootstrap", self._domain, str(self._directory / f"{LABELS[DAEMON]}.plist")])

    def status(self) -> ServiceStatus:
        files = tuple(str(file) for name in LABELS.values() if (file := self._directory / f"{name}.plist").exists())
        states = {name: self._state(label) for name, label in LABELS.items()}
        return ServiceStatus(bool(files), states[DAEMON], states[TMUX], 0, "login" if files else "", files)

    def _state(self, label: str) -> str:
        shown = run(["launchctl", "print", f"{self._domain}/{label}"])
        if shown.returncode:
            return NOT_INSTALLED
        return "active" if "state = running" in shown.stdout else "inactive"
