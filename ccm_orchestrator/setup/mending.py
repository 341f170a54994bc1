"""`doctor --fix`: runs the commands of checks that are safe to run, and tells what became of each."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ccm_orchestrator.setup.check import Check, Verdict

COMMAND_LIMIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Mended:
    check: str
    command: str
    done: bool
    said: str
    """What the command complained of; empty when it did not."""


def mendable(checks: Sequence[Check]) -> list[Check]:
    return [check for check in checks if check.verdict is not Verdict.OK and check.command and check.safe]


def mend(checks: Sequence[Check], environment: Mapping[str, str], config: Path | None) -> list[Mended]:
    """Only what is safe; each command once."""
    return [run(check, environment, config) for check in {check.command: check for check in mendable(checks)}.values()]


def run(check: Check, environment: Mapping[str, str], config: Path | None) -> Mended:
    """In a shell, where `ccm-orchestrator` is this very installation with this configuration."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', os.defpath)}"
    env = {**environment, "PATH": path} | ({"CCM_CONFIG": str(config)} if config else {})
    try:
        done = subprocess.run(
            ["/bin/sh", "-c", check.command],
            env=env,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_LIMIT_S,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return Mended(check.name, check.command, False, f"it did not come back within {COMMAND_LIMIT_S:g} s")
    return Mended(check.name, check.command, done.returncode == 0, done.stderr.strip())
