"""The tmux server in which agents live: where it is, whose it is, and with what it would end."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from ccm_orchestrator.adapters.tmux.commands import NotConnected
from ccm_orchestrator.adapters.tmux.config import RUN_OPTION, config_text
from ccm_orchestrator.adapters.tmux.server import Address, find_tmux, run_tmux
from ccm_orchestrator.errors import TmuxMissing
from ccm_orchestrator.settings import Settings
from ccm_orchestrator.setup.check import Check, Verdict
from ccm_orchestrator.setup.state_checks import obstacle

ANSWER_S = 4.0
CHECKED = frozenset(
    {"exit-empty", "set-clipboard", "destroy-unattached", "remain-on-exit", "allow-rename", "allow-passthrough"}
)
"""Options without which agents end, hang or write to a person's clipboard."""


def address_of(settings: Settings) -> Address:
    """Raises: TmuxMissing."""
    tmux = settings.tmux
    return Address(find_tmux()[0], tmux.socket_name, tmux.socket_directory, tmux.session)


def command_line(address: Address, *arguments: str) -> str:
    """A tmux command for a shell, on our server."""
    words = [address.binary, "-L", address.socket, *arguments]
    return shlex.join(["env", f"TMUX_TMPDIR={address.socket_dir}", *words] if address.socket_dir else words)


def server(settings: Settings, environment: Mapping[str, str]) -> Iterator[Check]:
    """Socket, server, options and control group; nothing is started."""
    try:
        address = address_of(settings)
    except TmuxMissing:
        return  # the check of the program says so
    yield inherited(environment, address.socket_path)
    socket = socket_place(address.socket_path)
    yield socket
    if socket.verdict is Verdict.FAIL:
        return
    try:
        shown = run_tmux(address, ["display-message", "-p", "#{pid}"], ANSWER_S)
    except NotConnected:
        yield Check("tmux server", Verdict.OK, "does not run; the daemon has it started with the first agent")
        return
    pid = shown.stdout.decode().strip()
    if not pid:
        found = shown.stderr.decode(errors="replace").strip() or "it does not say its process"
        yield Check("tmux server", Verdict.FAIL, found, "Without it no agent can be started or seen.", "Mend that.")
        return
    yield Check("tmux server", Verdict.OK, f"process {pid}, socket {address.socket_path}")
    yield options(address, settings.state_directory / "tmux.conf")
    yield control_group(Path(f"/proc/{pid}/cgroup"))


def inherited(environment: Mapping[str, str], own: Path) -> Check:
    """Whether we stand in a window of tmux."""
    outer = environment.get("TMUX", "").partition(",")[0]
    if outer and Path(outer).resolve() == own.resolve():
        why = "A daemon that is started in a window of its own agents ends with that window."
        return Check("outer tmux", Verdict.WARN, "this is a window among the agents", why, "Use another terminal.")
    return Check("outer tmux", Verdict.OK, f"{outer}: another server" if outer else "none")


def socket_place(path: Path) -> Check:
    """tmux refuses a directory that others can read."""
    name, why, directory = "tmux socket", "Without it no agent can be started or seen.", path.parent
    if not directory.exists():
        if found := obstacle(directory):
            fix = "Set `tmux.socket_directory` to a directory of yours, or let the daemon have another TMUX_TMPDIR."
            return Check(name, Verdict.FAIL, found, why, fix)
        return Check(name, Verdict.OK, f"{path} (made with the server)")
    info, quoted = directory.stat(), shlex.quote(str(directory))
    if info.st_uid != os.geteuid():
        fix = "Set `tmux.socket_directory` to a directory of yours."
        return Check(name, Verdict.FAIL, f"{directory} belongs to user {info.st_uid}", why, fix)
    if stat.S_IMODE(info.st_mode) & 0o077 or not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        found = f"{directory} has the mode {stat.filemode(info.st_mode)}"
        return Check(
            name, Verdict.FAIL, found, why, "tmux wants it to be its owner's alone.", f"chmod 700 {quoted}", True
        )
    if path.exists() and not stat.S_ISSOCK(path.stat().st_mode):
        quoted = shlex.quote(str(path))
        command = f"mv {quoted} {quoted}.aside"
        return Check(name, Verdict.FAIL, f"{path} is no socket", why, "Move it out of the way.", command, safe=True)
    return Check(name, Verdict.OK, str(path))


def options(address: Address, config: Path) -> Check:
    """Those that matter are as our configuration says."""
    shown: dict[str, str] = {}
    for scope in ("-s", "-g", "-gw"):
        for line in run_tmux(address, ["show-options", scope], ANSWER_S).stdout.decode(errors="replace").splitlines():
            name, _, value = line.partition(" ")
            shown[name] = value
    wanted = {words[2]: words[3] for words in map(shlex.split, config_text().splitlines()) if words[:1] == ["set"]}
    wrong = [name for name in sorted(CHECKED) if name in shown and shown[name] != wanted[name]]
    if not wrong:
        return Check("tmux options", Verdict.OK, "as ccm-orchestrator sets them")
    found = ", ".join(f"{name} is {shown[name]} instead of {wanted[name]}" for name in wrong)
    why = "Somebody changed them on the agents' own server: agents can end, hang or reach a person's clipboard."
    if not config.exists():
        return Check("tmux options", Verdict.WARN, found, why, "Start the daemon: it sets them again.")
    command = command_line(address, "source-file", str(config))
    return Check("tmux options", Verdict.WARN, found, why, "Set them again.", command, safe=True)


def control_group(file: Path) -> Check:
    """What would end the server together with something else."""
    if not file.exists():
        return Check("tmux unit", Verdict.OK, "unknown: no control groups here")
    lines = [line.split(":", 2) for line in file.read_text().splitlines()]
    paths = {controllers: path for _, controllers, path in lines}
    return unit_of_server(paths.get("name=systemd") or paths.get("") or "")


def unit_of_server(group: str) -> Check:
    units = [part for part in group.split("/") if part.endswith((".service", ".scope"))]
    unit = units[-1] if units else ""
    if unit in ("ccm-orchestrator.service",) or unit.startswith("ccm-orchestrator@"):
        why = "Each restart or upgrade of the daemon ends the server and every agent."
        fix = "Let agents finish, end the tmux server, then install the services: tmux gets a unit of its own."
        command = "ccm-orchestrator service install"
        return Check("tmux unit", Verdict.FAIL, f"{unit}: the daemon's own", why, fix, command)
    if unit.startswith("session-"):
        why = "Where logins end their processes (KillUserProcesses, no linger), a logout ends every agent."
        command = "ccm-orchestrator service install"
        return Check("tmux unit", Verdict.WARN, f"{unit}: a login", why, "Give it a unit of its own.", command)
    return Check("tmux unit", Verdict.OK, unit or "none: nothing else ends it")


def windows(address: Address) -> Mapping[str, str]:
    """Run by window. Raises: NotConnected, TerminalUnavailable."""
    shown = run_tmux(address, ["list-windows", "-a", "-F", f"#{{window_id}} #{{{RUN_OPTION}}}"], ANSWER_S).stdout
    pairs = (line.partition(" ") for line in shown.decode(errors="replace").splitlines())
    return {window: run for window, _, run in pairs if run}
