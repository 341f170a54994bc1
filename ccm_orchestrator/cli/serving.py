"""`ccm-orchestrator serve` as services run it, without options: nothing is imported that only other commands need."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from ccm_orchestrator.cli.lazily import Heavy, load
from ccm_orchestrator.errors import OrchestratorError


def plainly_asked(arguments: Sequence[str]) -> bool:
    return list(arguments) == ["serve"] and "CCM_CONFIG" not in os.environ


def serve_plainly() -> int:
    """The exit code, as of the command that `commands/daemon.py` describes."""
    try:
        return int(load(Heavy.SERVE)(load(Heavy.LOAD_SETTINGS)()))
    except OrchestratorError as error:
        load(Heavy.REPORT)(error)
        for sentence in load(Heavy.TELL_OF_FAILED_START)(error, None):
            sys.stderr.write(f"{sentence}\n")
        return int(load(Heavy.EXIT_OF)(error))
