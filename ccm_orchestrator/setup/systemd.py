"""The services as systemd keeps them: of a user, or of the machine."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ccm_orchestrator.errors import InputError
from ccm_orchestrator.setup.calls import must, run
from ccm_orchestrator.setup.service_files import DAEMON, TMUX, Installation, Renewal, path_in, renewal_of, systemd_units
from ccm_orchestrator.setup.service_status import ServiceStatus


class Systemd:
    """Of the user, or of the machine (which needs root)."""

    def __init__(self, installation: Installation, system: bool, directory: Path | None = None) -> None:
        """`directory`: of the unit files, instead of systemd's own."""
        self._installation = installation
        self._system = system
        user_units = Path(os.environ.get("XDG_CONFIG_HOME") or installation.home / ".config") / "systemd" / "user"
        self._directory = directory or (Path("/etc/systemd/system") if system else user_units)

    def install(self) -> Sequence[str]:
        done = [*self.write_files()]
        if not self._system:
            done += self._linger()
        self._systemctl("enable", self._name(TMUX), self._name(DAEMON))
        self._systemctl("start", self._name(TMUX))
        self._systemctl("restart" if done else "start", self._name(DAEMON))
        return done

    def write_files(self) -> Sequence[str]:
        self._require_manager()
        done = self._write(systemd_units(self._installation, self._system))
        if done:
            self._systemctl("daemon-reload")
        return done

    def renewal(self) -> Renewal | None:
        self._require_manager()
        there = {file.name: file.read_text(encoding="utf-8") for file in self._files() if file.exists()}
        path = path_in(there.get(self._name(DAEMON), "")) or self._installation.path
        shipped = systemd_units(replace(self._installation, path=path), self._system)
        return renewal_of(self._installation, path, self._system) if there == shipped else None

    def put_back(self, files: Mapping[Path, bytes]) -> None:
        for file, content in files.items():
            file.write_bytes(content)
        self._systemctl("daemon-reload")

    def uninstall(self, with_agents: bool) -> Sequence[str]:
        self._require_manager()
        done = []
        for name in (DAEMON, *((TMUX,) if with_agents else ())):
            if self._properties(name).get("LoadState") == "loaded":
                self._systemctl("disable", "--now", self._name(name))
                done.append(f"Stopped {self._name(name)}.")
        if not with_agents and self._properties(TMUX).get("LoadState") == "loaded":
            self._systemctl("disable", self._name(TMUX))
            done.append(f"{self._name(TMUX)} goes on with its agents until the machine or the login ends.")
        for file in self._files():
            if file.exists() and (with_agents or file.name == self._name(DAEMON)):
                file.unlink()
                done.append(f"Removed {file}.")
        self._systemctl("daemon-reload")
        return done

    def restart(self) -> None:
        self._require_manager()
        if self._properties(DAEMON).get("LoadState") != "loaded":
            raise InputError(f"{self._name(DAEMON)} is not installed: run `{self._install_command}`.")
        self._systemctl("restart", self._name(DAEMON))

    def stop(self) -> None:
        self._systemctl("stop", self._name(DAEMON))

    def start(self) -> None:
        self._systemctl("start", self._name(DAEMON))

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
            self._problem(),
            daemon.get("StatusText", ""),
        )

    def _require_manager(self) -> None:
        """Before anything is written that it would not hear of. Raises: InputError."""
        if self._system and not os.access(self._directory, os.W_OK):
            raise InputError(f"Services of the machine are root's to change: run it with sudo ({self._directory}).")
        if problem := self._problem():
            raise InputError(problem)

    def _problem(self) -> str:
        """Why the manager cannot be asked; empty when it can."""
        asked = run([*self._manager, "show", "--property=Version"])
        if asked.returncode == 0:
            return ""
        said = asked.stderr.strip() or f"exit code {asked.returncode}"
        if self._system:
            return f"systemd does not answer: {said}"
        if os.geteuid() == 0:
            return f"root has no services of its own here ({said}): use those of the machine, with `--system`."
        user = self._installation.user
        return (
            f"The service manager of {user} does not answer ({said}): log in as {user} itself, not by `su` or `sudo`, "
            f"or `export XDG_RUNTIME_DIR=/run/user/{os.getuid()}` after `sudo loginctl enable-linger {user}`."
        )

    @property
    def _install_command(self) -> str:
        return "sudo ccm-orchestrator service install --system" if self._system else "ccm-orchestrator service install"

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
        asked = run(["loginctl", "enable-linger", user])
        if asked.returncode:
            return [
                f"Agents will end when {user} logs out: `sudo loginctl enable-linger {user}` prevents that "
                f"({asked.stderr.strip()})."
            ]
        return [f"{user}'s services now go on after logout (linger)."]

    def _lingers(self) -> bool:
        return run(["loginctl", "show-user", self._installation.user, "-p", "Linger"]).stdout.strip() == "Linger=yes"

    def _name(self, unit: str) -> str:
        return f"{unit}@{self._installation.user}.service" if self._system else f"{unit}.service"

    def _properties(self, unit: str) -> Mapping[str, str]:
        wanted = "LoadState,ActiveState,UnitFileState,NRestarts,StatusText"
        shown = run([*self._manager, "show", self._name(unit), f"--property={wanted}"]).stdout
        return dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)

    @property
    def _manager(self) -> list[str]:
        return ["systemctl"] if self._system else ["systemctl", "--user"]

    def _systemctl(self, *arguments: str) -> None:
        must([*self._manager, *arguments])
