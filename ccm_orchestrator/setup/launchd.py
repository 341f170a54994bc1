"""The services as launchd keeps them, for a login on macOS."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from ccm_orchestrator.errors import OrchestratorError
from ccm_orchestrator.setup.calls import must, run
from ccm_orchestrator.setup.service_files import DAEMON, LABELS, TMUX, Installation, launch_agents
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
        must(["launchctl", "bootout", f"{self._domain}/{LABELS[DAEMON]}"])

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
