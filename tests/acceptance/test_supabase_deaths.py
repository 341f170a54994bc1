"""A daemon dies, again and again, while it works for a shared queue: nothing is lost, nothing is run twice."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ccm_orchestrator.demo.sandbox import Sandbox
from ccm_orchestrator.devstack.faults import Cut
from ccm_orchestrator.devstack.stack import LocalSupabase
from ccm_orchestrator.engine import failpoints
from tests.acceptance.supabase_worlds import (
    HEAD,
    OPEN_RUNS,
    counts,
    insert,
    machine,
    machines,
    release,
    release_one,
    rows,
    wait_done,
    wait_state,
    wait_status,
)
from tests.acceptance.worlds import wait_for
from tests.supabase_invariants import check_shared, runs_of

pytestmark = [pytest.mark.tmux, pytest.mark.slow, pytest.mark.timeout(300)]

POINTS = [point for point in failpoints.FAIL_POINTS if point not in (failpoints.RUN_INGESTED, failpoints.RUN_DISCARDED)]
"""The others are about hooks, which the scripted agent has none of."""
PATIENT = HEAD.replace("takeover_grace_s = 8", "takeover_grace_s = 120")
"""However slowly a daemon comes back, nobody takes over what it had."""
LASTING_OUTAGE_S = 12.0
"""Longer than the leases of these machines, and than the grace after which another one may take over."""


def died(sandbox: Sandbox) -> None:
    """Waits for the end of a daemon that kills itself."""
    daemon = sandbox.daemon
    assert daemon is not None
    wait_for("the daemon's death", lambda: daemon.poll() is not None, sandbox)
    assert daemon.returncode == -signal.SIGKILL, sandbox.log_tail()
    sandbox.daemon = None


def let_pass(sandbox: Sandbox, seconds: float) -> None:
    """Where the length of a fault is what is tested."""
    deadline = time.monotonic() + seconds
    wait_for("the end of a fault", lambda: time.monotonic() > deadline, sandbox)


def noted(sandbox: Sandbox, count: int) -> None:
    wait_for("a noted outcome", lambda: len(sandbox.query("SELECT 1 FROM outbox")) == count, sandbox)


def all_put_away(sandbox: Sandbox) -> None:
    wait_for("the end of all runs", lambda: not sandbox.query(OPEN_RUNS), sandbox)


def trusted(stack: LocalSupabase, sandbox: Sandbox, task_id: str) -> None:
    wait_for("a fresh lease", lambda: rows(stack, TRUSTED, id=task_id), sandbox)


def test_a_daemon_killed_at_any_point_runs_each_row_once(supabase: LocalSupabase) -> None:
    with machine(supabase) as one:
        tasks = []
        for points in zip(POINTS[::2], [*POINTS[1::2], None], strict=True):  # three deaths would make a task poison
            for point in filter(None, points):
                one.start_daemon(wait=False, CCM_FAULTS__CRASH_AT=point)
                tasks += insert(supabase)
                died(one)
            one.start_daemon()
            wait_done(supabase, one, len(tasks))
            all_put_away(one)
            one.kill_daemon()
        runs = runs_of([one])
        assert [task for task in tasks if runs[task] != 1] == []
        assert rows(supabase, "select distinct attempt from tasks") == [(1,)], "a crash consumed an attempt"
        check_shared(supabase, one, inserted=tasks)


@pytest.mark.parametrize(("function", "status"), [("claim_tasks", "claimed"), ("finish_task", "succeeded")])
def test_an_answer_that_is_lost_together_with_the_daemon_is_asked_for_again(
    supabase: LocalSupabase, function: str, status: str
) -> None:
    with machine(supabase) as one:
        supabase.faults.add(Cut(pattern=f"/rpc/{function}", executed=True))
        tasks = insert(supabase, 4)
        one.start_daemon()
        wait_for("lost answers", lambda: counts(supabase).get(status, 0) > 0, one)
        one.kill_daemon()
        supabase.faults.clear()
        started = time.monotonic()
        one.start_daemon()
        wait_done(supabase, one, len(tasks))
        print(f"killed after a lost answer of {function}, to all told: {time.monotonic() - started:.1f} s")
        assert rows(supabase, "select distinct fence, attempt from tasks") == [(1, 1)]
        assert set(runs_of([one]).values()) == {1}
        check_shared(supabase, one, inserted=tasks)


def test_outcomes_of_an_outage_are_told_once_and_in_order_by_a_daemon_that_began_in_it(
    own_supabase: LocalSupabase,
) -> None:
    stack = own_supabase
    with machine(stack) as one:
        one.start_daemon()
        tasks = insert(stack, 4, "lasting")
        for task in tasks:
            wait_status(stack, one, task, "running")
        stack.stop_postgres()
        one.kill_daemon()
        started = time.monotonic()
        one.start_daemon()
        print(f"ready with Supabase away: {time.monotonic() - started:.1f} s")
        ended = list(reversed(tasks))
        for count, task in enumerate(ended, start=1):
            release_one(one, task)
            noted(one, count)
        local = one.insert_task("Do it here.", profile="quick")
        wait_for("a local success", lambda: one.query(SUCCEEDED, local), one)
        stack.start_postgres()
        back = time.monotonic()
        wait_done(stack, one, len(tasks))
        print(f"Postgres back to {len(tasks)} outcomes told: {time.monotonic() - back:.1f} s")
        told = "select task_id from task_events where kind = 'task.succeeded' order by event_id"
        wait_for("all events", lambda: len(rows(stack, told)) == len(tasks), one)
        assert [row[0] for row in rows(stack, told)] == ended
        assert [row[0] for row in rows(stack, "select task_id from ccm.outcomes order by at")] == ended
        assert rows(stack, "select distinct fence from tasks") == [(1,)]
        check_shared(stack, one, inserted=tasks)


def test_a_daemon_that_slept_past_its_lease_goes_on_when_nobody_took_its_task(supabase: LocalSupabase) -> None:
    with machine(supabase) as one:
        daemon = one.start_daemon()
        (task,) = insert(supabase, 1, "lasting")
        wait_status(supabase, one, task, "running")
        daemon.send_signal(signal.SIGSTOP)
        release(one)
        expired = "select 1 from task_leases where expires_at < now()"
        wait_for("the end of the lease", lambda: rows(supabase, expired), one)
        asked = len(supabase.seen)
        daemon.send_signal(signal.SIGCONT)
        woken = time.monotonic()
        wait_status(supabase, one, task, "succeeded")
        print(f"woken to outcome told: {time.monotonic() - woken:.1f} s")
        told = [seen.path.rpartition("/")[2] for seen in supabase.seen[asked:]]
        assert "renew_leases" in told[: told.index("finish_task")], "it ended on a lease that it could not trust"
        assert rows(supabase, "select fence, attempt from tasks") == [(1, 1)]
        check_shared(supabase, one, inserted=[task])


def test_machines_that_come_back_together_take_nothing_from_each_other(own_supabase: LocalSupabase) -> None:
    stack = own_supabase
    with machines(stack, "left", "middle", "right") as all_of_them:
        for each in all_of_them:
            each.start_daemon()
        tasks = [insert(stack, 1, "lasting", system_id=each.system_id)[0] for each in all_of_them]
        for task, each in zip(tasks, all_of_them, strict=True):
            wait_status(stack, each, task, "running")
        stack.stop_postgres()
        let_pass(all_of_them[0], LASTING_OUTAGE_S)
        stack.start_postgres()
        back = time.monotonic()
        for task, each in zip(tasks, all_of_them, strict=True):
            trusted(stack, each, task)
            wait_status(stack, each, task, "running")
        print(f"Postgres back to all leases renewed: {time.monotonic() - back:.1f} s")
        release(*all_of_them)
        wait_done(stack, all_of_them[0], len(tasks))
        assert rows(stack, "select distinct fence, attempt from tasks") == [(1, 1)]
        assert set(runs_of(all_of_them).values()) == {1}
        check_shared(stack, *all_of_them, inserted=tasks)


@contextmanager
def monkey(stack: LocalSupabase, chance: random.Random) -> Iterator[None]:
    """Stops and starts Postgres again and again."""
    over = threading.Event()

    def play() -> None:
        while not over.wait(chance.uniform(2.0, 5.0)):
            stack.stop_postgres()
            over.wait(chance.uniform(0.2, 2.0))
            stack.start_postgres()

    thread = threading.Thread(target=play)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_random_deaths_of_two_daemons_and_of_postgres_lose_nothing(own_supabase: LocalSupabase) -> None:
    stack, chance = own_supabase, random.Random(45)
    with machines(stack, "left", "right", head=PATIENT) as both:
        for each in both:
            each.start_daemon()
        tasks = insert(stack, 80, "short")
        with monkey(stack, random.Random(23)):
            for _ in range(8):
                let_pass(both[0], chance.uniform(0.2, 2.0))
                victim = chance.choice(both)
                victim.kill_daemon()
                victim.start_daemon()
        for each in both:
            wait_state(each, "live", "degraded")
        wait_for("the end of all tasks", lambda: ended(stack) == len(tasks), both[0], 120)
        for each in both:
            all_put_away(each)
        assert rows(stack, "select task_id from tasks where status = 'held' and hold_reason <> 'poison'") == []
        runs = runs_of(both)
        assert {task: runs[task] for task in tasks if runs[task] > 1} == {}, "a task was run twice"
        check_shared(stack, *both, inserted=tasks)


def ended(stack: LocalSupabase) -> int:
    found = counts(stack)
    return found.get("succeeded", 0) + found.get("held", 0)


TRUSTED = "select 1 from task_leases where task_id = %(id)s and expires_at > now() + interval '2 seconds'"
SUCCEEDED = "SELECT 1 FROM tasks WHERE task_id = ? AND status = 'succeeded'"
