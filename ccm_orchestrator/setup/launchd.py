"""The services as launchd keeps them, for a login on macOS."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ccm_orchestrator.setup.calls import must, run
from ccm_orchestrator.setup.service_files import DAEMON, LABELS, TMUX, Installation, launch_agents
from ccm_orchestrator.setup.service_status import ServiceStatus


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
                run(["launchctl", "bootout", f"{self._domain}/{file.stem}"])
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            must(["launchctl", "bootstrap", self._domain, str(file)])
            done.append(f"Wrote and loaded {file}.")
        return done

    def uninstall(self, with_agents: bool) -> Sequence[str]:
        done = []
        for name in (DAEMON, *((TMUX,) if with_agents else ())):
            file = self._directory / f"{LABELS[name]}.plist"
            if file.exists():
                run(["launchctl", "bootout", f"{self._domain}/{LABELS[name]}"])
                file.unlink()
                done.append(f"Unloaded and removed {file}.")
        return done

    def restart(self) -> None:
        must(["launchctl", "kickstart", "-k", f"{self._domain}/{LABELS[DAEMON]}"])

    def status(self) -> ServiceStatus:
        files = tuple(str(file) for name in LABELS.values() if (file := self._directory / f"{name}.plist").exists())
        states = {name: self._state(label) for name, label in LABELS.items()}
        return ServiceStatus(bool(files), states[DAEMON], states[TMUX], 0, "login" if files else "", files)

    def _state(self, label: str) -> str:
        shown = run(["launchctl", "print", f"{self._domain}/{label}"])
        if shown.returncode:
            return "not installed"
        return "active" if "state = running" in shown.stdout else "inactive"
