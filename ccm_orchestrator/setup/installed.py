"""How this command was installed, and what brings another version of it into the same place."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ccm_orchestrator import __version__
from ccm_orchestrator.errors import InputError, OrchestratorError
from ccm_orchestrator.programs import PACKAGE, is_frozen

PROJECT = "ccm-orchestrator"
INSTALL_S = 600.0
_PIP = ("install", "--quiet", "--disable-pip-version-check", "--upgrade")
_VERSION = re.compile(r"[0-9][0-9A-Za-z.+!-]*")


class Kind(StrEnum):
    UV = "uv tool"
    PIPX = "pipx"
    PIP = "pip"
    CHECKOUT = "checkout"
    BINARY = "one-file binary"
    HOMEBREW = "Homebrew"
    SYSTEM = "the system's Python"


SELF_SERVICE = frozenset({Kind.UV, Kind.PIPX, Kind.PIP})
"""What we can bring to another version ourselves."""


@dataclass(frozen=True, slots=True)
class Installed:
    kind: Kind
    place: Path
    """The environment, the checkout or the file."""
    requirement: str = PROJECT
    """With the extras that were asked for."""

    @property
    def python(self) -> Path:
        return self.place / "bin" / "python"

    @property
    def command(self) -> Path:
        return self.place / "bin" / PROJECT

    def by_hand(self, version: str | None = None) -> str:
        """What a person types, where we do not do it."""
        match self.kind:
            case Kind.CHECKOUT:
                first = f"git checkout v{version}" if version else "git pull"
                return f"cd {shlex.quote(str(self.place))} && {first} && make setup"
            case Kind.BINARY:
                return f"install -m 755 NEW-BINARY {shlex.quote(str(self.place))}"
            case Kind.HOMEBREW:
                return f"brew upgrade {PROJECT}"
            case _:
                return f"{sys.executable} -P -m pip install --upgrade {self.wanted(version)}"

    def wanted(self, version: str | None) -> str:
        return f"{self.requirement}=={version}" if version else self.requirement

    def offered(self, version: str | None) -> str | None:
        """The version that an installation would bring; None when that is the one that is here.

        Asked of the same index, with the same settings, as the installation will be. Raises: OrchestratorError.
        """
        if self._has_pip:
            return _named(json.loads(_run([*self._pip, "--dry-run", "--report", "-", self.wanted(version)]).stdout))
        said = _run([*self._uv_pip, "--dry-run", self.wanted(version)]).stderr
        found = re.search(rf"^ \+ {PROJECT}==(\S+)", said, re.M)
        return found[1] if found and found[1] != __version__ else None

    def installation(self, version: str) -> Sequence[str]:
        """The command that brings it, in place: hooks of agents that run are called from there."""
        if self.kind is Kind.UV:
            return [_uv(), "tool", "install", "--quiet", "--python", _own_python(), self.wanted(version)]
        return [*(self._pip if self._has_pip else (*self._uv_pip, "--quiet")), self.wanted(version)]

    def install(self, version: str) -> None:
        """Raises: OrchestratorError when it did not work, or brought another version."""
        _run(self.installation(version))
        said = _run([str(self.command), "--version"]).stdout.split()
        if said[-1:] != [version]:
            raise OrchestratorError(f"{self.command} says that it is {' '.join(said)}, not {version}.")

    @property
    def _has_pip(self) -> bool:
        """Environments that uv made, also for pipx, have none."""
        if self.kind is Kind.UV:
            return False
        looked = [str(self.python), "-I", "-c", "import pip"]
        return subprocess.run(looked, cwd="/", capture_output=True, timeout=INSTALL_S, check=False).returncode == 0

    @property
    def _pip(self) -> Sequence[str]:
        return [str(self.python), "-I", "-m", "pip", *_PIP]

    @property
    def _uv_pip(self) -> Sequence[str]:
        return [_uv(), "pip", "install", "--python", str(self.python), "--upgrade-package", PROJECT]


def installed() -> Installed:
    """This very program."""
    if is_frozen():
        return Installed(Kind.BINARY, Path(sys.executable))
    return found_in(Path(sys.prefix), sys.prefix != sys.base_prefix, _direct_url())


def found_in(prefix: Path, is_environment: bool, direct_url: Mapping[str, Any] | None) -> Installed:
    """`direct_url`: where it was installed from, if that was no index; None: it was not installed at all."""
    if direct_url is None:
        return Installed(Kind.CHECKOUT, PACKAGE.parent)
    if direct_url.get("dir_info", {}).get("editable"):
        return Installed(Kind.CHECKOUT, Path(unquote(urlsplit(str(direct_url["url"])).path)))
    if {"Cellar", "homebrew", ".linuxbrew"} & set(prefix.parts):
        return Installed(Kind.HOMEBREW, prefix)
    receipt = prefix / "uv-receipt.toml"
    if receipt.exists():
        return Installed(Kind.UV, prefix, _with_extras(tomllib.loads(receipt.read_text(encoding="utf-8"))))
    if (prefix / "pipx_metadata.json").exists():
        return Installed(Kind.PIPX, prefix)
    return Installed(Kind.PIP if is_environment else Kind.SYSTEM, prefix)


def require_version(version: str) -> str:
    """Raises: InputError."""
    if not _VERSION.fullmatch(version):
        raise InputError(f"Expected a version such as {__version__}, got: {version!r}.")
    return version


def _uv() -> str:
    """Raises: InputError."""
    found = shutil.which("uv")
    if found is None:
        raise InputError("It was installed by uv, and there is no `uv` on PATH: put it there, and repeat this.")
    return found


def _with_extras(receipt: Mapping[str, Any]) -> str:
    """uv forgets what is not said again."""
    for wanted in receipt.get("tool", {}).get("requirements", ()):
        if wanted.get("name") == PROJECT and wanted.get("extras"):
            return f"{PROJECT}[{','.join(wanted['extras'])}]"
    return PROJECT


def _direct_url() -> Mapping[str, Any] | None:
    try:
        text = metadata.distribution(PROJECT).read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        return None
    found: Mapping[str, Any] = json.loads(text or "{}")
    return found


def _named(report: Mapping[str, Any]) -> str | None:
    """pip's installation report."""
    found = [one["metadata"] for one in report.get("install", ())]
    return next((str(one["version"]) for one in found if one["name"].replace("_", "-") == PROJECT), None)


def _own_python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _run(argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Away from the current directory, where uv reads settings and Python modules. Raises: OrchestratorError."""
    try:
        done = subprocess.run(argv, cwd="/", capture_output=True, text=True, timeout=INSTALL_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise OrchestratorError(f"`{' '.join(argv)}` cannot be run: {error}") from error
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-3:]
        raise OrchestratorError(f"`{' '.join(argv)}` failed: {' '.join(said)}")
    return done
