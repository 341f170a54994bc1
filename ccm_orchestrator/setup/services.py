"""The daemon as a service that starts with the machine or the login, and the tmux server as another beside it.

Two services, because a service manager ends whatever a service has started: agents that lived in the daemon's own would
end with every restart of it.
"""

from __future__ import annotations

import os
import platform
import pwd
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from ccm_orchestrator.errors import InputError
from ccm_orchestrator.programs import is_frozen
from ccm_orchestrator.settings import Settings
from ccm_orchestrator.setup.launchd import Launchd
from ccm_orchestrator.setup.service_files import Installation, Renewal
from ccm_orchestrator.setup.service_status import ServiceStatus
from ccm_orchestrator.setup.systemd import Systemd

SYSTEMD_RUNS = Path("/run/systemd/system")
"""Is there where systemd is process 1, and nowhere else: `systemctl` alone may be in a container."""
BY_HAND = (
    "let whatever starts programs on this machine run `ccm-orchestrator serve`, and `ccm-orchestrator tmux-server` "
    "beside it with the setting `tmux.start_command`."
)


class ServiceManager(Protocol):
    def install(self) -> Sequence[str]:
        """What was done, a sentence each; nothing when all was so already. Raises: OrchestratorError."""

    def write_files(self) -> Sequence[str]:
        """The files alone, as above. What runs goes on as it was begun."""

    def renewal(self) -> Renewal | None:
        """None: somebody changed those that are there, beyond the PATH in them. Raises: InputError when they are not
        ours to write."""

    def put_back(self, files: Mapping[Path, bytes]) -> None:
        """As they were; nothing is started."""

    def uninstall(self, with_agents: bool) -> Sequence[str]:
        """Agents go on unless they are to be ended, too. Data and configuration stay."""

    def restart(self) -> None:
        """The daemon alone; agents go on."""

    def stop(self) -> None:
        """The daemon alone, until it is started or the machine begins anew."""

    def start(self) -> None: ...

    def status(self) -> ServiceStatus: ...


def service_manager(settings: Settings, config: Path | None, system: bool) -> ServiceManager:
    """Of this machine. Raises: InputError when it has none that we know."""
    installation = describe_installation(settings, config)
    if platform.system() == "Darwin":
        if system:
            raise InputError("On macOS the services belong to a login: leave `--system` out.")
        return Launchd(installation)
    if shutil.which("systemctl") is None:
        raise InputError(f"There is no systemd here: {BY_HAND}")
    if not SYSTEMD_RUNS.is_dir():
        raise InputError(f"systemd is installed and does not run here (a container, or another init): {BY_HAND}")
    return Systemd(installation, system)


def describe_installation(settings: Settings, config: Path | None) -> Installation:
    beside = Path(sys.executable).with_name("ccm-orchestrator")
    found = beside if beside.exists() else Path(shutil.which("ccm-orchestrator") or sys.executable)
    return Installation(
        executable=found,
        user=_whose(),
        home=Path.home(),
        path=os.environ.get("PATH", os.defpath),
        config=config.resolve() if config else None,
        state_directory=settings.state_directory,
        is_frozen=is_frozen(),
    )


def _whose() -> str:
    """Services that root installs by way of sudo are of whoever called it."""
    caller = os.environ.get("SUDO_USER") if os.geteuid() == 0 else None
    return caller or pwd.getpwuid(os.geteuid()).pw_name
