"""What a launcher leaves in the run directory."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from ccm_orchestrator.adapters.plain_files import content_of
from ccm_orchestrator.adapters.rundir.layout import EXITED, STARTED
from ccm_orchestrator.domain.run import ProcessRef
from ccm_orchestrator.ports.launching import ExitRecord

log = logging.getLogger(__name__)
Record = TypeVar("Record")


@dataclass(frozen=True, slots=True)
class StartRecord:
    """`run.json`."""

    launcher: ProcessRef
    agent: ProcessRef
    boot_id: str
    group: Path | None
    """Of control groups; None: the memory limit is measured."""


def started(directory: Path) -> StartRecord | None:
    return _read(directory / STARTED, _start_record)


def exited(directory: Path) -> ExitRecord | None:
    return _read(directory / EXITED, _exit_record)


def _read(path: Path, make: Callable[[Any], Record]) -> Record | None:
    """None also for a damaged file, which only a broken disk or a person can leave: launchers write whole files."""
    try:
        return make(json.loads(content_of(path)))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, OSError) as error:
        log.error("%s is not readable and counts as missing: %s", path, error)
        return None


def _start_record(raw: Any) -> StartRecord:
    group = raw["cgroup"]
    return StartRecord(
        _process(raw["launcher"]), _process(raw["agent"]), raw["boot_id"], Path(group) if group else None
    )


def _process(raw: Any) -> ProcessRef:
    return ProcessRef(int(raw["pid"]), str(raw["start"]))


def _exit_record(raw: Any) -> ExitRecord:
    return ExitRecord(
        exit_code=raw["exit_code"],
        signal=raw["signal"],
        reason=str(raw["reason"]),
        detail=str(raw["detail"]),
        ended_at=datetime.fromisoformat(raw["ended_at"]),
        max_rss_bytes=raw["max_rss_bytes"],
    )
