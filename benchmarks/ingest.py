"""How many hook events a second become durable, against bare SQLite with the same pragmas and the same bytes."""

import asyncio
import itertools
import json
import secrets
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.harness import Goal, Report, Sampler, Unit, take_turns
from ccm_orchestrator.adapters.claude.hooks import read_hook
from ccm_orchestrator.adapters.rundir import RunDirectories
from ccm_orchestrator.adapters.sqlite.database import Database
from ccm_orchestrator.adapters.sqlite.events import SqliteEventStore
from ccm_orchestrator.domain.events import BusEvent, HookRecord

ROUNDS = 12
EVENTS = 2_000
BATCH = 500
OUTPUT = "line of output\n" * 60

Consumer = Callable[[Sequence[HookRecord]], Awaitable[None]]


class Feed:
    """Endless hook records, as an agent at work sends them."""

    def __init__(self) -> None:
        self._numbers = itertools.count()

    def records(self, count: int) -> list[HookRecord]:
        return [self._record(next(self._numbers)) for _ in range(count)]

    def _record(self, number: int) -> HookRecord:
        name = "PreToolUse" if number % 2 == 0 else "PostToolUse"
        payload: dict[str, object] = {
            "session_id": "5bb48bdc-0000-4000-8000-000000000000",
            "transcript_path": "/home/user/.claude/projects/-home-user-project/5bb48bdc.jsonl",
            "cwd": "/home/user/project",
            "hook_event_name": name,
            "tool_name": "Bash",
            "tool_input": {"command": f"make test-{number}", "description": "run a test"},
            "tool_use_id": f"toolu_{number // 2}",
        }
        if name == "PostToolUse":
            payload["tool_response"] = {"stdout": OUTPUT, "stderr": "", "interrupted": False}
        raw = json.dumps(payload).encode()
        return HookRecord(f"run/{name}.{number}", "run", name, datetime.now(UTC), raw)


class Bare:
    """SQLite alone: one table, the same pragmas, the same batches."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.execute("CREATE TABLE hooks (event_id TEXT PRIMARY KEY, name TEXT, at TEXT, raw BLOB)")

    def insert(self, batch: Sequence[HookRecord]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        rows = [(record.event_id, record.hook_event_name, record.at.isoformat(), record.raw) for record in batch]
        self._connection.executemany("INSERT INTO hooks VALUES (?, ?, ?, ?)", rows)
        self._connection.execute("COMMIT")

    def close(self) -> None:
        self._connection.close()


async def measure(rounds: int | None) -> Sequence[Report]:
    directory = Path(tempfile.mkdtemp(prefix="ccm-bench-"))
    database, bare = Database(directory / "ccm.db"), Bare(directory / "bare.db")
    try:
        await database.open()
        pad = RunDirectories(directory / "state")
        return [await _measure(pad, SqliteEventStore(database), bare, rounds or ROUNDS)]
    finally:
        await database.close()
        bare.close()
        shutil.rmtree(directory)


async def _measure(pad: RunDirectories, store: SqliteEventStore, bare: Bare, rounds: int) -> Report:
    feed = Feed()

    async def insert(batch: Sequence[HookRecord]) -> None:
        await asyncio.to_thread(bare.insert, batch)

    async def parse_and_ingest(batch: Sequence[HookRecord]) -> None:
        await store.ingest([(record, _read(record)) for record in batch])

    samples = await take_turns(
        {
            "bare sqlite3, nothing parsed": _sampler(feed, insert),
            "parsed and ingested": _sampler(feed, parse_and_ingest),
            "from spool files": _spool_sampler(feed, pad, parse_and_ingest),
        },
        rounds,
    )
    return Report(
        "ingest",
        f"how many events a second become durable, in batches of {BATCH}?",
        Unit.PER_SECOND,
        samples,
        [Goal("events a second with parsing", 1 / samples["parsed and ingested"].median, 10_000, at_least=True)],
        [f"an event is {len(feed.records(2)[1].raw)} bytes or less; p95 is that of the slow rounds"],
    )


def _read(record: HookRecord) -> Sequence[BusEvent]:
    return read_hook(record, "task").events


def _sampler(feed: Feed, act: Consumer) -> Sampler:
    """Seconds per event."""

    async def sample() -> float:
        records = feed.records(EVENTS)
        started = time.perf_counter()
        for batch in _batches(records):
            await act(batch)
        return (time.perf_counter() - started) / EVENTS

    return sample


def _spool_sampler(feed: Feed, pad: RunDirectories, act: Consumer) -> Sampler:
    """The same from files as `ccm-hook` leaves them, which are removed when they are durable."""

    async def sample() -> float:
        run_id = secrets.token_hex(16)
        spool = pad.spool_directory(run_id)
        spool.mkdir(parents=True)
        for number, record in enumerate(feed.records(EVENTS)):
            (spool / f"{record.hook_event_name}.{number}.0.json").write_bytes(record.raw)
        started = time.perf_counter()
        while batch := await pad.spooled(run_id, BATCH):
            await act(batch)
            await pad.discard(batch)
        return (time.perf_counter() - started) / EVENTS

    return sample


def _batches(records: Sequence[HookRecord]) -> list[Sequence[HookRecord]]:
    return [records[start : start + BATCH] for start in range(0, len(records), BATCH)]
