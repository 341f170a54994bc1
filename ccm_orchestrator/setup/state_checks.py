"""The state directory, the database in it, and the port beside it."""

from __future__ import annotations

import os
import shlex
import shutil
import stat
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from ccm_orchestrator.adapters.sqlite.connections import connect_reader
from ccm_orchestrator.adapters.sqlite.translation import translated
from ccm_orchestrator.errors import StoreError
from ccm_orchestrator.setup.check import Check, Verdict

LEAST_FREE_BYTES = 200_000_000
LOW_FREE_BYTES = 2_000_000_000
ANSWER_LIMIT_S = 5.0


def directory(path: Path) -> Check:
    why = "Prompts, transcripts and the API token lie there; whoever reads them can command your agents."
    if not path.exists():
        return _to_be_made(path)
    info, quoted = path.stat(), shlex.quote(str(path))
    if not path.is_dir():
        command = f"mv {quoted} {quoted}.aside && mkdir -m 700 {quoted}"
        return Check(
            "state directory", Verdict.FAIL, f"{path} is no directory", why, "Make it one.", command, safe=True
        )
    if info.st_uid != os.geteuid():
        found = f"{path} belongs to user {info.st_uid}"
        return Check("state directory", Verdict.FAIL, found, why, "Take it over.", f"sudo chown -R $USER {quoted}")
    if stat.S_IMODE(info.st_mode) & 0o700 != 0o700 or not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        found = f"{path} cannot be used ({stat.filemode(info.st_mode)})"
        return Check("state directory", Verdict.FAIL, found, why, "Open it for you.", f"chmod 700 {quoted}", safe=True)
    if stat.S_IMODE(info.st_mode) & 0o077:
        found = f"{path} is open to others ({stat.filemode(info.st_mode)})"
        return Check("state directory", Verdict.FAIL, found, why, "Close it.", f"chmod -R go= {quoted}", safe=True)
    return Check("state directory", Verdict.OK, str(path))


def obstacle(path: Path) -> str:
    """What keeps a directory that does not exist from being made; empty: nothing."""
    there = next(parent for parent in path.parents if parent.exists())
    if not there.is_dir():
        return f"{path} cannot be made: {there} is no directory"
    return "" if os.access(there, os.W_OK | os.X_OK) else f"{path} cannot be made: you may not write to {there}"


def _to_be_made(path: Path) -> Check:
    if found := obstacle(path):
        why, fix = "No daemon starts without it.", "Mend that, or set `state_directory` to a place of yours."
        return Check("state directory", Verdict.FAIL, found, why, fix)
    return Check("state directory", Verdict.OK, f"{path} (made at the first start)")


def free_space(path: Path) -> Check:
    existing = next(parent for parent in (path, *path.parents) if parent.exists())
    return space(shutil.disk_usage(existing).free)


def space(free_bytes: int) -> Check:
    found = f"{free_bytes / 1e9:.1f} GB free"
    if free_bytes >= LOW_FREE_BYTES:
        return Check("disk", Verdict.OK, found)
    why = "With a full disk nothing can be accepted, though nothing that was accepted is lost."
    verdict = Verdict.WARN if free_bytes >= LEAST_FREE_BYTES else Verdict.FAIL
    return Check("disk", verdict, found, why, "Make room, or set `state_directory` to another disk.")


def registered_projects(path: Path) -> Mapping[str, Path]:
    """Name and directory of each. What is wrong with the database, `database` says."""
    if not path.exists():
        return {}
    try:
        with translated(path), closing(connect_reader(path)) as connection:
            return {str(row[0]): Path(row[1]) for row in connection.execute("SELECT name, path FROM projects")}
    except StoreError:
        return {}
