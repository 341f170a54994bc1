"""A real daemon whose budget of the day is spent: a row, a message, nothing more begun, and on with a larger budget."""

from __future__ import annotations

import json

import pytest

from ccm_orchestrator.demo.sandbox import Sandbox
from tests.acceptance.test_notices import incidents, recovered, targets, titles
from tests.acceptance.worlds import CONFIG, wait_for, wait_status, world
from tests.receiver import receiving

pytestmark = [pytest.mark.claude, pytest.mark.tmux, pytest.mark.slow]

SPENT = """
[budget]
tokens_per_day = 1
hold = true
"""


def test_a_spent_budget_is_a_row_is_told_holds_what_waits_and_ends_with_a_larger_one() -> None:
    with receiving() as receiver, world(CONFIG + told_everything(targets(receiver)) + SPENT) as sandbox:
        sandbox.start_daemon()
        first = sandbox.insert_task("Note the date.")
        wait_status(sandbox, first, "succeeded")
        wait_for("the row of the incident", lambda: "budget_spent" in incidents(sandbox), sandbox)
        wait_for("a message of it", lambda: any("udget" in title for title in titles(receiver)), sandbox)
        assert not recovered(sandbox, "budget_spent")
        day = json.loads(sandbox.run("budget", "show", "--json").stdout)
        assert day["tokens"] >= 1 and "of 1 tokens" in day["spent"] and day["projects"][0]["tokens"] == day["tokens"]

        waits = sandbox.insert_task("Note the date.")
        sandbox.stop_daemon()
        sandbox.start_daemon()
        wait_for("a daemon that does its work", lambda: started(sandbox) == 2, sandbox)
        assert status_of(sandbox, waits) == "queued"

        sandbox.stop_daemon()
        assert status_of(sandbox, waits) == "queued"
        sandbox.run("config", "set", "budget.tokens_per_day", "1000000000")
        sandbox.start_daemon()
        wait_for("the end of the incident", lambda: recovered(sandbox, "budget_spent"), sandbox)
        assert incidents(sandbox)["budget_spent"]["recovered_by"] == "a new day, or a larger budget"
        wait_status(sandbox, waits, "succeeded")


def status_of(sandbox: Sandbox, task_id: str) -> object:
    return sandbox.query("SELECT status FROM tasks WHERE task_id = ?", task_id)[0][0]


def started(sandbox: Sandbox) -> int:
    return len(sandbox.query("SELECT 1 FROM events WHERE kind = 'daemon.started'"))


def told_everything(table: str) -> str:
    return "\n".join(line for line in table.splitlines() if not line.startswith("events")) + "\n"
