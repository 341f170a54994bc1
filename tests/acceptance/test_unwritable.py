"""A daemon that cannot keep what happens says so at once, goes on, and writes it down as soon as it can."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from ccm_orchestrator.demo.sandbox import Sandbox
from tests.acceptance.test_faults import filled, small_state
from tests.acceptance.worlds import CONFIG, wait_for, wait_status, world
from tests.invariants import check_invariants
from tests.receiver import Receiver, receiving

pytestmark = [pytest.mark.tmux, pytest.mark.slow]

ROWS = "SELECT recovered_by FROM incidents WHERE kind = ?"
WORKS_AGAIN = "the database, which takes writes again"
ALERT_S = 60.0
"""A locked database is waited for before it is called so, by whoever writes first and then by the book."""


def told(receiver: Receiver, title: str) -> list[str]:
    return [got["message"] for got in receiver.got if got["title"].endswith(title)]


def phone(receiver: Receiver) -> str:
    return f"""
[notifications.targets.phone]
url_file = "{receiver.url_file}"
events = ["incident_opened", "incident_closed"]
"""


def check_told_before_the_row_and_once(sandbox: Sandbox, receiver: Receiver, sentence: str) -> None:
    """With the database as it is; what comes after is checked by `check_written_down`."""
    wait_for("the alert", lambda: told(receiver, "Incident: database unwritable"), sandbox, ALERT_S)
    assert sentence in told(receiver, "Incident: database unwritable")[0]
    assert sandbox.query(ROWS, "database_unwritable") == []
    with sandbox.api() as api:
        health, of_database = api.get("/health"), api.get("/health/database")
        said = api.get("/api/status").json()["trouble"]
    assert (health.status_code, health.json()["status"]) == (503, "unwritable")
    assert of_database.status_code == 503 and sentence in of_database.json()["detail"]
    assert said == "unwritable"


def check_written_down(sandbox: Sandbox, receiver: Receiver) -> None:
    wait_for("the row", lambda: sandbox.query(ROWS, "database_unwritable") == [(WORKS_AGAIN,)], sandbox)
    wait_for("the good news", lambda: told(receiver, "Over: database unwritable"), sandbox)
    assert len(told(receiver, "Incident: database unwritable")) == 1


def test_a_database_that_is_locked_is_told_at_once_and_written_down_later() -> None:
    with receiving() as receiver, world(CONFIG + phone(receiver), claude=Path("/bin/false")) as sandbox:
        sandbox.start_daemon()
        with locked(sandbox):
            check_told_before_the_row_and_once(sandbox, receiver, "locked")
        check_written_down(sandbox, receiver)


@pytest.mark.skipif(os.geteuid() != 0, reason="a small file system can be mounted by root only")
def test_a_disk_without_any_space_is_told_at_once_and_written_down_later() -> None:
    with (
        receiving() as receiver,
        world(CONFIG + phone(receiver), claude=Path("/bin/false")) as sandbox,
        small_state(sandbox),
    ):
        sandbox.start_daemon()
        with filled(sandbox):
            check_told_before_the_row_and_once(sandbox, receiver, "disk is full")
            assert told(receiver, "Incident: disk full")
        check_written_down(sandbox, receiver)


@pytest.mark.claude
@pytest.mark.timeout(240)
def test_hooks_that_wait_in_the_spool_are_an_incident_until_they_are_taken_in() -> None:
    """The agent is not slowed by it, and its outcome is the same."""
    with receiving() as receiver, world(CONFIG + phone(receiver), head="watchdog_s = 300\n") as sandbox:
        release = sandbox.directory / "go-on"
        sandbox.start_daemon(CCM_FAULTS__HANG_AT="intake", CCM_FAULTS__HANG_UNTIL=str(release))
        task_id = sandbox.insert_task("Take your time. [scenario:slow-tool seconds=20]")
        wait_for("a row", lambda: sandbox.query(ROWS, "hook_backlog") == [(None,)], sandbox, 100)
        wait_for("the alert", lambda: told(receiver, "Incident: hook backlog"), sandbox)
        release.touch()
        wait_status(sandbox, task_id, "succeeded")
        by = [("the daemon, which has taken everything in",)]
        wait_for("its end", lambda: sandbox.query(ROWS, "hook_backlog") == by, sandbox)
        check_invariants(sandbox)


@contextlib.contextmanager
def locked(sandbox: Sandbox) -> Iterator[None]:
    """As a backup or a shell of somebody's would, who leaves a transaction open."""
    with contextlib.closing(sqlite3.connect(sandbox.state / "ccm.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
