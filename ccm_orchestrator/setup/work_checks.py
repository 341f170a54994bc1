"""What is in the database and beside it: the schema, work that waits for a person, things left over."""

from __future__ import annotations

import os
import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ccm_orchestrator.adapters.sqlite.connections import connect_reader
from ccm_orchestrator.adapters.sqlite.migrations import pending, shipped_migrations
from ccm_orchestrator.adapters.sqlite.recovery import problem_found
from ccm_orchestrator.adapters.sqlite.translation import translated
from ccm_orchestrator.adapters.tmux.commands import NotConnected
from ccm_orchestrator.errors import SchemaTooNew, StoreCorrupt, StoreError, TmuxMissing
from ccm_orchestrator.settings import Settings
from ccm_orchestrator.setup.check import Check, Verdict
from ccm_orchestrator.setup.tmux_checks import address_of, command_line, windows

BUSY_MS = 3000
LARGE_WAL_BYTES = 256_000_000
LARGE_RUNS_BYTES = 5_000_000_000
LARGE_LOGS_BYTES = 500_000_000
LARGE_SPOOL = 1000
COUNTED = 200_000
"""Files that are counted at most: a look must end."""


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Raises: StoreError, soon."""
    with translated(path), closing(connect_reader(path)) as connection:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        yield connection


def absent(path: Path) -> bool:
    return not path.exists() or path.stat().st_size == 0


def database(path: Path) -> Iterator[Check]:
    """Whole, of a schema that this version knows, with a log that is emptied."""
    if absent(path):
        yield Check("database", Verdict.OK, f"{path} (made at the first start)")
        return
    try:
        with reading(path) as connection:
            waiting = pending(connection, path, shipped_migrations())
            problem = problem_found(connection, "quick_check")
    except StoreError as error:
        yield _unreadable(error, path)
        return
    if problem:
        yield _damaged(problem)
        return
    yield Check("database", Verdict.OK, f"{path}, {path.stat().st_size / 1e6:.1f} MB, whole")
    if waiting:
        why = "Nothing is lost: the next start of a daemon brings it up to date, after a backup."
        found = f"older than this version, {len(waiting)} migrations to come"
        command = "ccm-orchestrator task list"
        yield Check("schema", Verdict.WARN, found, why, "Start the daemon anew, or run any command.", command)
    else:
        yield Check("schema", Verdict.OK, max(shipped_migrations()))
    yield wal(path.with_name(path.name + "-wal"))


def _unreadable(error: StoreError, path: Path) -> Check:
    if isinstance(error, SchemaTooNew):
        why = "The daemon does not start with it."
        return Check("schema", Verdict.FAIL, error.message, why, "Install the version that wrote it, or a newer one.")
    if isinstance(error, StoreCorrupt):
        return _damaged(error.message)
    why, fix = "Nothing can be accepted or recorded meanwhile.", "End the program that keeps it locked."
    return Check("database", Verdict.FAIL, error.message, why, fix, f"fuser -v {shlex.quote(str(path))}")


def _damaged(problem: str) -> Check:
    why = "Tasks, runs and events are kept there."
    fix = "Stop the daemon, then run any command: it sets the file aside and restores the newest backup."
    return Check("database", Verdict.FAIL, problem, why, fix, "ccm-orchestrator task list")


def wal(log: Path) -> Check:
    size = log.stat().st_size if log.exists() else 0
    if size < LARGE_WAL_BYTES:
        return Check("database log", Verdict.OK, f"{size / 1e6:.1f} MB")
    why = "Some program reads the database without an end, so that its log cannot be emptied; reading gets slow."
    command = f"fuser -v {shlex.quote(str(log))}"
    return Check("database log", Verdict.WARN, f"{size / 1e6:.0f} MB", why, "End that program.", command)


def tasks(path: Path) -> Iterator[Check]:
    """Leases that nobody renews, and tasks that wait for a person. A database that cannot be read is told elsewhere."""
    if absent(path):
        return
    try:
        with reading(path) as connection:
            overdue = connection.execute(
                "SELECT count(*) FROM tasks WHERE status IN ('claimed', 'running', 'waiting')"
                " AND lease_expires_at < strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-120 seconds')"
            ).fetchone()[0]
            held = connection.execute(
                "SELECT task_id, hold_reason FROM tasks WHERE status = 'held' AND hold_until IS NULL ORDER BY seq"
            ).fetchall()
            incidents = connection.execute("SELECT kind, subject FROM incidents WHERE recovered_at IS NULL").fetchall()
    except (StoreError, sqlite3.Error):
        return
    if overdue:
        why = "They were at work when the daemon ended, and nobody looks after them."
        fix = "Start the daemon: it takes their agents over."
        yield Check("leases", Verdict.WARN, f"{overdue} ran out", why, fix, "ccm-orchestrator serve")
    else:
        yield Check("leases", Verdict.OK, "none has run out")
    if held:
        shown = ", ".join(f"{row[0][:8]} ({row[1]})" for row in held[:5])
        command = f"ccm-orchestrator task release {held[0][0][:8]}"
        yield Check(
            "held tasks",
            Verdict.WARN,
            f"{len(held)}: {shown}",
            "They wait for a person.",
            "Look at each with `ccm-orchestrator task show`, then release or cancel it.",
            command,
        )
    else:
        yield Check("held tasks", Verdict.OK, "none")
    if incidents:
        shown = ", ".join(f"{row[0]} of {row[1]}" for row in incidents[:5])
        why, fix = "Something is not well yet.", "Look at them."
        yield Check("incidents", Verdict.WARN, f"open: {shown}", why, fix, "ccm-orchestrator incident list")
    else:
        yield Check("incidents", Verdict.OK, "none is open")


def left_over_windows(settings: Settings) -> Iterator[Check]:
    """Windows of runs that the database knows as ended, or does not know."""
    if absent(settings.database):
        return
    try:
        address = address_of(settings)
        runs = windows(address)
        with reading(settings.database) as connection:
            live = {row[0] for row in connection.execute("SELECT run_id FROM runs WHERE state <> 'ended'")}
    except (TmuxMissing, NotConnected, StoreError, sqlite3.Error):
        return
    unknown = [window for window, run in runs.items() if run not in live]
    if unknown:
        why = "They use memory, and nobody looks after them."
        command = " && ".join(command_line(address, "kill-window", "-t", window) for window in unknown)
        fix = "Look at them (`ccm-orchestrator attach`), then close them. A daemon does that by itself when it starts."
        yield Check("windows", Verdict.WARN, f"{len(unknown)} of no run that is open", why, fix, command)
    else:
        yield Check("windows", Verdict.OK, f"{len(runs)}, each of an open run")


def spool(state: Path, daemon_runs: bool) -> Check:
    """Hook events that nobody has taken in yet."""
    count, _ = _measure(state / "spool")
    if count < LARGE_SPOOL:
        return Check("hook events", Verdict.OK, f"{count} wait to be taken in")
    why = "Agents report more than is taken in: their states are old."
    fix = "Start it anew, agents go on." if daemon_runs else "Start the daemon: it takes them in."
    command = "ccm-orchestrator service restart" if daemon_runs else "ccm-orchestrator serve"
    return Check("hook events", Verdict.WARN, f"{count} wait to be taken in", why, fix, command)


def disk_usage(settings: Settings) -> Iterator[Check]:
    """What runs and logs take."""
    state = settings.state_directory
    _, runs = _measure(state / "runs")
    if runs < LARGE_RUNS_BYTES:
        yield Check("runs on disk", Verdict.OK, f"{runs / 1e6:.1f} MB")
    else:
        why, fix = "They fill the disk.", "Keep them for fewer days; the daemon removes what is older."
        command = f"ccm-orchestrator config set event_retention_days {max(1, settings.event_retention_days // 2):g}"
        yield Check("runs on disk", Verdict.WARN, f"{runs / 1e9:.1f} GB", why, fix, command)
    yield logs(state / "logs")


def logs(directory: Path) -> Check:
    name, why, quoted = "logs", "Without it nobody sees what the daemon did.", shlex.quote(str(directory))
    if not directory.exists():
        return Check(name, Verdict.OK, f"{directory} (made at the first start)")
    if not directory.is_dir():
        command = f"mv {quoted} {quoted}.aside && mkdir -m 700 {quoted}"
        return Check(name, Verdict.FAIL, f"{directory} is no directory", why, "Make it one.", command, safe=True)
    if not os.access(directory, os.W_OK | os.X_OK):
        return Check(name, Verdict.FAIL, f"{directory} cannot be written", why, "Open it.", f"chmod 700 {quoted}", True)
    _, size = _measure(directory)
    if size > LARGE_LOGS_BYTES:
        fix = "They are rotated; something else writes there. Remove what is old."
        return Check(name, Verdict.WARN, f"{size / 1e9:.1f} GB", "They fill the disk.", fix, f"ls -lS {quoted}")
    return Check(name, Verdict.OK, f"{directory}, {size / 1e6:.1f} MB")


def _measure(directory: Path) -> tuple[int, int]:
    """Files and bytes below it."""
    count = size = 0
    for parent, _, files in os.walk(directory):
        for file in files:
            count += 1
            try:
                size += os.lstat(os.path.join(parent, file)).st_size  # noqa: PTH118
            except FileNotFoundError:
                continue
        if count > COUNTED:
            break
    return count, size
