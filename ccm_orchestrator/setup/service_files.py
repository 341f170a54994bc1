"""The files of the services: what `systemd/` and `launchd/` say, with this installation's own paths."""

from __future__ import annotations

import plistlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.parsers.expat import ExpatError

DAEMON, TMUX = "ccm-orchestrator", "ccm-orchestrator-tmux"
LABELS = {DAEMON: "dev.ccm-orchestrator.daemon", TMUX: "dev.ccm-orchestrator.tmux"}
"""How launchd calls them."""
_PATH_LINE = 'Environment="PATH='
_DEFAULT_PROGRAMS = ("%h/.local/bin/ccm-orchestrator", "/usr/local/bin/ccm-orchestrator")


@dataclass(frozen=True, slots=True)
class Installation:
    """What the files must know of this machine."""

    executable: Path
    """Absolute path of the command."""
    user: str
    home: Path
    path: str
    """PATH of whoever installs: the daemon looks for tmux, git and the agent there."""
    config: Path | None = None
    """A configuration file in an unusual place."""
    state_directory: Path | None = None
    is_frozen: bool = False
    """The one-file binary: the daemon is a child of what systemd starts, and must be heard all the same."""

    @property
    def environment(self) -> Mapping[str, str]:
        return {"PATH": self.path} | ({"CCM_CONFIG": str(self.config)} if self.config else {})


@dataclass(frozen=True, slots=True)
class Renewal:
    """How the next version writes its files in the place of these."""

    arguments: Sequence[str]
    """Of its command."""
    variables: Mapping[str, str]
    """With the PATH that whoever installed them had."""


def renewal_of(installation: Installation, path: str, system: bool) -> Renewal:
    config = ["--config", str(installation.config)] if installation.config else []
    scope = ["--system"] if system else []
    return Renewal([*config, "service", "install", "--files-only", *scope], {"PATH": path})


def template(kind: str, name: str) -> str:
    """A file of `systemd/` or `launchd/`: beside the package in a checkout, inside it when installed."""
    package = Path(__file__).parents[1]
    installed = package / kind / name
    return (installed if installed.exists() else package.parent / kind / name).read_text(encoding="utf-8")


def systemd_units(installation: Installation, system: bool) -> Mapping[str, str]:
    """Their texts by file name: of the user's own manager, or of the machine's.

    A machine may serve several users, each with a command and a PATH of their own: each has files of their own.
    """
    template_suffix = "@.service" if system else ".service"
    suffix = f"@{installation.user}.service" if system else ".service"
    return {name + suffix: _unit(template("systemd", name + template_suffix), installation) for name in (DAEMON, TMUX)}


def _unit(text: str, installation: Installation) -> str:
    for default in _DEFAULT_PROGRAMS:
        text = text.replace(f"ExecStart={default} ", f"ExecStart={_quoted(str(installation.executable))} ")
    if installation.is_frozen:
        text = text.replace("Type=notify\n", "Type=notify\nNotifyAccess=all\n")
    own = "".join(f"Environment={_quoted(f'{name}={value}')}\n" for name, value in installation.environment.items())
    return text.replace("EnvironmentFile=", own + "EnvironmentFile=", 1)


def path_in(unit: str) -> str | None:
    """PATH as we wrote it into a unit."""
    for line in unit.splitlines():
        if line.startswith(_PATH_LINE) and line.endswith('"'):
            return re.sub(r"%%|\$\$|\\(.)", lambda found: found[1] or found[0][0], line[len(_PATH_LINE) : -1])
    return None


def written_path(content: bytes) -> str | None:
    """PATH as we wrote it into a unit or a property list."""
    if not content.startswith((b"<?xml", b"bplist")):
        return path_in(content.decode("utf-8", "replace"))
    try:
        path = plistlib.loads(content).get("EnvironmentVariables", {}).get("PATH")
    except (plistlib.InvalidFileException, ExpatError, AttributeError, ValueError):  # somebody wrote it
        return None
    return None if path is None else str(path)


def _quoted(value: str) -> str:
    """One word of a unit file."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'


def launch_agents(installation: Installation) -> Mapping[str, bytes]:
    """Property lists by file name, for ~/Library/LaunchAgents."""
    return {f"{label}.plist": _plist(name, label, installation) for name, label in LABELS.items()}


def _plist(name: str, label: str, installation: Installation) -> bytes:
    values = plistlib.loads(template("launchd", f"{name}.plist").encode())
    logs = (installation.state_directory or installation.home / ".local/state/ccm-orchestrator") / "logs"
    values["Label"] = label
    values["ProgramArguments"][0] = str(installation.executable)
    values["StandardOutPath"] = values["StandardErrorPath"] = str(logs / f"{name}.launchd.log")
    values["WorkingDirectory"] = str(installation.home)
    values["EnvironmentVariables"] = {**values.get("EnvironmentVariables", {}), **installation.environment}
    return plistlib.dumps(values)
