"""The service that keeps the daemon: installed as shipped, started with the machine, not failing."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ccm_orchestrator.adapters.claude.executable import find_executable
from ccm_orchestrator.errors import AgentMissing, InputError
from ccm_orchestrator.settings import Settings
from ccm_orchestrator.setup.check import Check, Verdict
from ccm_orchestrator.setup.service_files import Installation, launch_agents, systemd_units, written_path
from ccm_orchestrator.setup.service_status import ServiceStatus
from ccm_orchestrator.setup.services import describe_installation, service_manager

MANY_RESTARTS = 5
INSTALL = "ccm-orchestrator service install"


def service(settings: Settings, config: Path | None) -> Iterator[Check]:
    """Of the user, else of the machine. Raises: OrchestratorError when the manager does not answer."""
    if platform.system() == "Linux" and not Path("/run/systemd/system").is_dir():
        yield Check(
            "service", Verdict.OK, "systemd does not run here; start `ccm-orchestrator serve` as you start others"
        )
        return
    scopes = (False, True) if platform.system() == "Linux" else (False,)
    try:
        found = [(system, service_manager(settings, config, system).status()) for system in scopes]
    except InputError as error:
        yield Check("service", Verdict.OK, error.message)
        return
    installed = [(system, status) for system, status in found if status.installed]
    if not installed:
        yield Check(
            "service", Verdict.OK, f"not installed: the daemon runs while you run it (`{INSTALL}` changes that)"
        )
    for system, status in installed:
        yield from judged(status, describe_installation(settings, config).user, system)
        yield from differing(status, settings, config, system)


def judged(status: ServiceStatus, user: str, system: bool) -> Iterator[Check]:
    flag, why = " --system" if system else "", "Nothing is claimed while it does not run; agents go on."
    if status.daemon == "failed":
        fix = f"See why with `journalctl {'' if system else '--user '}-u ccm-orchestrator -n 50`, then start it."
        yield Check("service", Verdict.FAIL, "failed", why, fix, f"ccm-orchestrator service restart{flag}")
    elif status.daemon not in ("active", "activating", "reloading"):
        fix = "Start it."
        yield Check("service", Verdict.WARN, status.daemon, why, fix, f"ccm-orchestrator service restart{flag}")
    else:
        yield Check("service", Verdict.OK, status.daemon)
    if not status.starts_with:
        why = "After the next start of the machine nothing runs."
        yield Check("service start", Verdict.WARN, "not enabled", why, "Enable it.", INSTALL + flag)
    elif status.starts_with == "login" and platform.system() == "Linux":
        why = f"When {user} logs out, the daemon and every agent end."
        command = f"loginctl enable-linger {user}"
        yield Check("linger", Verdict.FAIL, "off", why, "Turn it on.", command, safe=True)
    else:
        yield Check("service start", Verdict.OK, f"with {status.starts_with}")
    if status.restarts > MANY_RESTARTS:
        fix, command = "See why it ends.", f"journalctl {'' if system else '--user '}-u 'ccm-orchestrator*' -n 50"
        yield Check(
            "restarts", Verdict.WARN, f"{status.restarts} since the start", "It ends again and again.", fix, command
        )
    else:
        yield Check("restarts", Verdict.OK, str(status.restarts))


def differing(status: ServiceStatus, settings: Settings, config: Path | None, system: bool) -> Iterator[Check]:
    """Files that are not what this version ships, whatever PATH whoever wrote them had."""
    found = {Path(file): Path(file).read_bytes() for file in status.files}
    here = describe_installation(settings, config)
    path = next(filter(None, map(written_path, found.values())), here.path)
    written = replace(here, path=path)
    shipped = launch_agents(written) if platform.system() == "Darwin" else systemd_units(written, system)
    texts = {name: text if isinstance(text, bytes) else text.encode() for name, text in shipped.items()}
    changed = [str(file) for file, text in found.items() if file.name in texts and text != texts[file.name]]
    yield from out_of_reach(path, here, settings, system)
    if not changed:
        yield Check("service files", Verdict.OK, "as shipped")
        return
    why = "They were changed, or are those of another version: changes for safety may be missing."
    fix = "Write them anew (this starts the daemon anew; agents go on). Keep changes of yours in drop-ins."
    command = INSTALL + (" --system" if system else "")
    yield Check("service files", Verdict.WARN, f"not as shipped: {', '.join(changed)}", why, fix, command)


def out_of_reach(path: str, here: Installation, settings: Settings, system: bool) -> Iterator[Check]:
    """Programs that the daemon needs and finds on this shell's PATH, and not on the service's."""

    def found(name: str, on: str) -> bool:
        if name != settings.claude.executable:
            return shutil.which(name, path=on) is not None
        try:
            return bool(find_executable(name, {"PATH": on, "HOME": str(here.home)}))
        except AgentMissing:
            return False

    names = ("tmux", "git", str(settings.claude.executable))
    missing = [name for name in names if found(name, here.path) and not found(name, path)]
    if not missing:
        yield Check("service path", Verdict.OK, "leads to all programs that this shell finds")
        return
    why = "The service keeps the PATH of the shell that installed it, and its daemon and agents look there."
    fix = "Write the files anew from this shell (this starts the daemon anew; agents go on)."
    said = f"does not lead to {', '.join(missing)}, which this shell finds"
    yield Check("service path", Verdict.WARN, said, why, fix, INSTALL + (" --system" if system else ""))
