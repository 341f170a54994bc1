"""Programs and libraries of this machine."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping

from ccm_orchestrator.adapters.tmux.server import NO_CONTROL_MODE_SINCE, find_tmux, version_number
from ccm_orchestrator.errors import TmuxMissing
from ccm_orchestrator.setup.check import Check, Verdict

OLDEST_PYTHON = (3, 11)
OLDEST_SQLITE = (3, 38)
SQLITE_WITHOUT_WAL_RACE = (3, 51, 3)
ANSWER_LIMIT_S = 10.0


def dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def python(version: tuple[int, ...]) -> Check:
    if version >= OLDEST_PYTHON:
        return Check("python", Verdict.OK, dotted(version))
    why = f"At least {dotted(OLDEST_PYTHON)} is needed."
    return Check("python", Verdict.FAIL, dotted(version), why, "Install ccm-orchestrator with a newer Python.")


def sqlite(version: tuple[int, ...]) -> Check:
    if version < OLDEST_SQLITE:
        why = f"At least {dotted(OLDEST_SQLITE)} is needed."
        return Check("sqlite", Verdict.FAIL, dotted(version), why, "Use a Python that is linked with a newer SQLite.")
    if version >= SQLITE_WITHOUT_WAL_RACE:
        return Check("sqlite", Verdict.OK, dotted(version))
    why = (
        f"Before {dotted(SQLITE_WITHOUT_WAL_RACE)}, two programs that write the same file can damage it. "
        "ccm-orchestrator writes with one connection only, so this concerns other programs that open its database."
    )
    fix = "Insert rows by hand with short-lived programs, and keep the backups on."
    return Check("sqlite", Verdict.WARN, dotted(version), why, fix)


def tmux() -> Check:
    why = "Every agent lives in a tmux window."
    fix = "Install it with the system's package manager: `apt install tmux`, `brew install tmux`."
    try:
        binary, version = find_tmux()
    except TmuxMissing as error:
        return Check("tmux", Verdict.FAIL, error.message, why, fix)
    return tmux_version(binary, version)


def tmux_version(binary: str, version: str) -> Check:
    number, found = version_number(version), f"{version} ({binary})"
    if number is None or number >= NO_CONTROL_MODE_SINCE:
        why = "Releases from 3.7 on froze windows of a control client in tests, so single commands are used: slower."
        return Check("tmux", Verdict.WARN, found, why, "Nothing needs to be done; 3.3 to 3.6 are fastest.")
    return Check("tmux", Verdict.OK, found)


def git(environment: Mapping[str, str]) -> Check:
    binary = shutil.which("git", path=environment.get("PATH"))
    if binary is None:
        why = "Without it, results do not say what changed in a repository."
        return Check("git", Verdict.WARN, "not found", why, "Install it with the system's package manager.")
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False, timeout=ANSWER_LIMIT_S)
    return Check("git", Verdict.OK, f"{said.stdout.strip().removeprefix('git version ')} ({binary})")


def platform_support(system: str) -> Check:
    if system in ("Linux", "Darwin"):
        return Check("platform", Verdict.OK, system)
    why = "tmux and process groups are needed."
    return Check("platform", Verdict.FAIL, system, why, "Use Linux, macOS, or Windows' subsystem for Linux.")
