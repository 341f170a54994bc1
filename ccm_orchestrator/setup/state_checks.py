"""The state directory, the database in it, and the port beside it."""

from __future__ import annotations

import os
import shutil
import socket
import stat
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import httpx

from ccm_orchestrator.adapters.sqlite.connections import connect_reader
from ccm_orchestrator.adapters.sqlite.migrations import pending, shipped_migrations
from ccm_orchestrator.adapters.sqlite.recovery import problem_found
from ccm_orchestrator.adapters.sqlite.translation import translated
from ccm_orchestrator.errors import StoreError
from ccm_orchestrator.settings import Settings
from ccm_orchestrator.setup.check import Check, Verdict

LEAST_FREE_BYTES = 200_000_000
LOW_FREE_BYTES = 2_000_000_000
ANSWER_LIMIT_S = 5.0


def directory(path: Path) -> Check:
    if not path.exists():
        return Check("state directory", Verdict.OK, f"{path} (made at the first start)")
    info = path.stat()
    why = "Prompts, transcripts and the API token lie there; whoever reads them can command your agents."
    if not path.is_dir() or not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        return Check("state directory", Verdict.FAIL, f"{path} cannot be written", why, "Choose another, or mend it.")
    if info.st_uid != os.geteuid() or stat.S_IMODE(info.st_mode) & 0o077:
        found = f"{path} is open to others ({stat.filemode(info.st_mode)})"
        return Check("state directory", Verdict.FAIL, found, why, f"Run `chmod -R go= {path}`.")
    return Check("state directory", Verdict.OK, str(path))


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


def database(path: Path) -> Iterator[Check]:
    """The file, and the directories of the projects that it names."""
    if not path.exists() or path.stat().st_size == 0:
        yield Check("database", Verdict.OK, f"{path} (made at the first start)")
        return
    why = "Tasks, runs and events are kept there."
    try:
        with translated(path), closing(connect_reader(path)) as connection:
            waiting = pending(connection, path, shipped_migrations())
            problem = problem_found(connection, "quick_check")
            projects = [(row[0], Path(row[1])) for row in connection.execute("SELECT name, path FROM projects")]
    except StoreError as error:
        yield Check("database", Verdict.FAIL, error.message, why, "Start the daemon: it restores the newest backup.")
        return
    if problem:
        yield Check("database", Verdict.FAIL, problem, why, "Start the daemon: it restores the newest backup.")
    else:
        found = f"{path}, {path.stat().st_size / 1e6:.1f} MB"
        yield Check("database", Verdict.OK, f"{found}, {len(waiting)} migrations to come" if waiting else found)
    yield from map(project, projects)


def registered_projects(path: Path) -> Mapping[str, Path]:
    """Name and directory of each. What is wrong with the database, `database` says."""
    if not path.exists():
        return {}
    try:
        with translated(path), closing(connect_reader(path)) as connection:
            return {str(row[0]): Path(row[1]) for row in connection.execute("SELECT name, path FROM projects")}
    except StoreError:
        return {}


def project(named: tuple[str, Path]) -> Check:
    name, path = named
    if path.is_dir():
        return Check(f"project {name}", Verdict.OK, str(path))
    why = "Its tasks are held."
    fix = f"Restore the directory, or run `ccm-orchestrator project remove {name}`."
    return Check(f"project {name}", Verdict.WARN, f"{path} is gone", why, fix)


async def port(settings: Settings) -> Check:
    """Free, or our own daemon answers there."""
    address = (settings.api.host, settings.api.port)
    if await _health(settings.api_url):
        return Check("daemon", Verdict.OK, f"answers at {settings.api_url}")
    with closing(socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            why, fix = "The daemon's API listens there.", "Set `api.port` to a free one."
            return Check("daemon", Verdict.FAIL, f"{settings.api_url} is taken: {error.strerror}", why, fix)
    return Check("daemon", Verdict.OK, f"does not run; {settings.api_url} is free")


async def _health(url: str) -> bool:
    """Whether what answers there, ready or not, is a daemon of ours."""
    try:
        async with httpx.AsyncClient(timeout=ANSWER_LIMIT_S, trust_env=False) as client:
            answer = (await client.get(f"{url}/health")).json()
    except (httpx.HTTPError, ValueError):
        return False
    return isinstance(answer, dict) and "status" in answer
