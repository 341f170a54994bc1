"""`ccm-orchestrator serve` as services run it, without options: nothing is imported that only other commands need."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from ccm_orchestrator.cli.lazily import Heavy, load
from ccm_orchestrator.errors import InvalidSettings, OrchestratorError, StateDirectoryBusy


def plainly_asked(arguments: Sequence[str]) -> bool:
    return list(arguments) == ["serve"] and "CCM_CONFIG" not in os.environ


def serve_plainly() -> int:
    """The exit code, as of the command that `commands/daemon.py` describes."""
    try:
        with _without("rich"):
            serve, load_settings = load(Heavy.SERVE), load(Heavy.LOAD_SETTINGS)
        return int(serve(load_settings()))
    except OrchestratorError as error:
        return refused(error)


def refused(error: OrchestratorError, config: Path | None = None) -> int:
    """The exit code, once whoever is to know has been told."""
    load(Heavy.REPORT)(error)
    for sentence in load(Heavy.TELL_OF_FAILED_START)(error, config):
        sys.stderr.write(f"{sentence}\n")
    if isinstance(error, InvalidSettings | StateDirectoryBusy):  # the daemon has not counted its start
        load(Heavy.HOLD_BACK)(error, config)
    return int(load(Heavy.EXIT_OF)(error))


@contextlib.contextmanager
def _without(library: str) -> Iterator[None]:
    """Is not found meanwhile. structlog imports rich where there is one, for a renderer that developers use: a
    fifteenth of the daemon's start, and 4 MB. To be removed when structlog imports it late."""
    if library in sys.modules:
        yield
        return
    sys.modules[library] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[library]
