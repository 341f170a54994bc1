"""One commit for all writes that wait: what takes time is the disk, and it takes the same for one and for many."""

from __future__ import annotations

import asyncio
import collections
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ccm_orchestrator.adapters.sqlite.translation import translated

MOST = 64
"""Writes in one commit, so that none waits for many others."""

_BEGIN_ONE, _KEEP_ONE, _UNDO_ONE = "SAVEPOINT one", "RELEASE one", "ROLLBACK TO one"


@dataclass(slots=True)
class Write:
    """Work for the writing connection, and what comes of it once that is durable."""

    work: Callable[[sqlite3.Connection], Any]
    outcome: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None


class Commits:
    """Writes wait here for the thread that carries them out."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: collections.deque[Write] = collections.deque()
        self._draining = False

    def put(self, work: Callable[[sqlite3.Connection], Any], call_drain: Callable[[], object]) -> asyncio.Future[Any]:
        """Of whichever event loop runs. `call_drain` has the writing thread call `drain`, unless that is at it."""
        write = Write(work, asyncio.get_running_loop().create_future())
        with self._lock:
            if not self._draining:
                call_drain()
                self._draining = True
            self._waiting.append(write)
        return write.outcome

    def drain(self, connection: Callable[[], sqlite3.Connection], path: Path) -> None:
        """Carries out in order all that wait, and those that come meanwhile.

        A write that raises is undone alone; when the commit fails, all of it are. No result is told before it is
        durable.
        """
        while taken := self._take():
            try:
                with translated(path):
                    _commit(connection(), taken, path)
            except BaseException as error:  # noqa: BLE001 - handed to everybody whose write it undid
                for write in taken:
                    write.error = write.error or error
            _tell(taken)

    def _take(self) -> list[Write]:
        """Without those who do not want it any more."""
        taken = list[Write]()
        with self._lock:
            while self._waiting and len(taken) < MOST:
                write = self._waiting.popleft()
                if not write.outcome.cancelled():
                    taken.append(write)
            self._draining = bool(taken)
        return taken


def _tell(writes: Sequence[Write]) -> None:
    """Wakes each event loop once, however many of these writes are its own."""
    by_loop = collections.defaultdict[asyncio.AbstractEventLoop, list[Write]](list)
    for write in writes:
        by_loop[write.outcome.get_loop()].append(write)
    for loop, told in by_loop.items():
        with suppress(RuntimeError):  # it has ended, and whoever waited with it
            loop.call_soon_threadsafe(_settle, told)


def _settle(writes: Sequence[Write]) -> None:
    for write in writes:
        if write.outcome.done():
            continue
        if write.error is not None:
            write.outcome.set_exception(write.error)
        else:
            write.outcome.set_result(write.result)


def _commit(connection: sqlite3.Connection, writes: Sequence[Write], path: Path) -> None:
    if not writes:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        if len(writes) == 1:
            writes[0].result = writes[0].work(connection)
        else:
            for write in writes:
                _carry_out(connection, write, path)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite itself has undone it when, for example, the disk is full
            connection.execute("ROLLBACK")
        raise


def _carry_out(connection: sqlite3.Connection, write: Write, path: Path) -> None:
    """Raises only when the whole transaction is gone."""
    connection.execute(_BEGIN_ONE)
    try:
        with translated(path):
            write.result = write.work(connection)
    except BaseException as error:  # raised to whoever waits for this write; the others are not undone with it
        write.error = error
        if not connection.in_transaction:
            raise
        connection.execute(_UNDO_ONE)
    connection.execute(_KEEP_ONE)
