"""One commit for all writes that wait: what takes time is the disk, and it takes the same for one and for many."""

from __future__ import annotations

import collections
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
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
    outcome: Future[Any] = field(default_factory=Future)
    result: Any = None
    error: BaseException | None = None


class Commits:
    """Its `drain` is called by the thread that writes, as often as something was put."""

    def __init__(self) -> None:
        self._waiting: collections.deque[Write] = collections.deque()

    def put(self, work: Callable[[sqlite3.Connection], Any]) -> Future[Any]:
        """From any thread."""
        write = Write(work)
        self._waiting.append(write)
        return write.outcome

    def drain(self, connection: Callable[[], sqlite3.Connection], path: Path) -> None:
        """Carries out all that wait now, in order; nothing when an earlier call took them.

        A write that raises is undone alone; when the commit fails, all are. No result is told before it is durable.
        """
        taken = self._take()
        try:
            with translated(path):
                _commit(connection(), taken, path)
        except BaseException as error:  # noqa: BLE001 - handed to everybody whose write it undid
            for write in taken:
                write.error = write.error or error
        for write in taken:
            if write.error is not None:
                write.outcome.set_exception(write.error)
            else:
                write.outcome.set_result(write.result)

    def _take(self) -> list[Write]:
        taken = list[Write]()
        while self._waiting and len(taken) < MOST:
            write = self._waiting.popleft()
            if write.outcome.set_running_or_notify_cancel():
                taken.append(write)
        return taken


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
