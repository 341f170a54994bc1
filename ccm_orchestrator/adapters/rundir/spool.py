"""Hook events on their way from an agent to the daemon: one file each, `EVENT.PID.N.json`."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ccm_orchestrator.domain.events import HookRecord

MAX_EVENT_BYTES = 16 << 20
MAX_BATCH_BYTES = 64 << 20
_SUFFIX = ".json"
_WRITING_S = 1.0
"""How long a hook may take for one payload before what it left counts as all there is."""


@dataclass(frozen=True, slots=True, order=True)
class _Entry:
    """In order of their making: the file system's clock is coarse, and process ids rise."""

    modified_ns: int
    pid: int
    number: int
    name: str
    size: int


def read(directory: Path, run_id: str, limit: int) -> list[HookRecord]:
    """Oldest first; a batch ends early at 64 MB. An event of more than 16 MB is cut off, and so is not valid JSON."""
    records: list[HookRecord] = []
    total = 0
    for entry in _entries(directory):
        if len(records) >= limit or total > MAX_BATCH_BYTES:
            break
        raw = _payload(directory, entry)
        if raw is not None:
            total += len(raw)
            records.append(_record(run_id, entry, raw))
    return records


def discard(directory: Path, record: HookRecord) -> None:
    name = record.event_id.partition("/")[2].rpartition("@")[0]
    (directory / name).unlink(missing_ok=True)


def is_empty(directory: Path) -> bool:
    return not _entries(directory)


def _entries(directory: Path) -> list[_Entry]:
    try:
        with os.scandir(directory) as found:
            return sorted(filter(None, map(_entry, found)))
    except FileNotFoundError:
        return []


def _entry(found: os.DirEntry[str]) -> _Entry | None:
    """None for what is not a hook's file."""
    parts = found.name.rsplit(".", 3)
    if len(parts) != 4 or not found.name.endswith(_SUFFIX) or not (parts[1].isdigit() and parts[2].isdigit()):
        return None
    try:
        status = found.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    return _Entry(status.st_mtime_ns, int(parts[1]), int(parts[2]), found.name, status.st_size)


def _payload(directory: Path, entry: _Entry) -> bytes | None:
    """None while the hook may still be writing."""
    try:
        descriptor = os.open(directory / entry.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        raw = file.read(MAX_EVENT_BYTES)
    return raw if _is_json(raw) or not _may_be_writing(entry) else None


def _is_json(raw: bytes) -> bool:
    """The beginning of a JSON object is never one itself."""
    try:
        json.loads(raw)
    except (ValueError, RecursionError):
        return False
    return True


def _may_be_writing(entry: _Entry) -> bool:
    if not 0 <= time.time() - entry.modified_ns / 1e9 < _WRITING_S:
        return False
    try:
        os.kill(entry.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _record(run_id: str, entry: _Entry, raw: bytes) -> HookRecord:
    """The time is part of the id: process ids come again within a long run."""
    return HookRecord(
        event_id=f"{run_id}/{entry.name}@{entry.modified_ns}",
        run_id=run_id,
        hook_event_name=entry.name.rsplit(".", 3)[0],
        at=datetime.fromtimestamp(entry.modified_ns / 1e9, UTC),
        raw=raw,
    )
