"""The database, the gateway, the key or Realtime goes away: agents go on, and everything is told afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from ccm_orchestrator.devstack.faults import Cut, WrongAnswer
from ccm_orchestrator.devstack.stack import LocalSupabase
from tests.acceptance.supabase_worlds import (
    check_shared,
    fence,
    insert,
    machine,
    release,
    rows,
    runs_of,
    secrets,
    status,
    wait_done,
    wait_state,
    wait_status,
)
from tests.acceptance.worlds import wait_for

OPEN_RUNS = "SELECT run_id FROM runs WHERE state <> 'ended'"
PAGE = WrongAnswer(pattern="/rpc/", status=200, body="<html>Log in</html>", content_type="text/html")
pytestmark = pytest.mark.timeout(240)


def test_with_postgres_gone_agents_end_local_tasks_run_and_a_new_daemon_adopts(own_supabase: LocalSupabase) -> None:
    stack = own_supabase
    with machine(stack) as one:
        one.start_daemon()
        ends, goes_on = insert(stack, 2, "lasting")
        for task in (ends, goes_on):
            wait_status(stack, one, task, "running")
        stack.stop_postgres()
        wait_state(one, "away")
        local = one.insert_task("Do it here.", profile="quick")
        wait_for("a local success", lambda: one.query(SUCCEEDED, local), one)
        one.kill_daemon()
        started = time.monotonic()
        one.start_daemon()
        print(f"daemon ready while Supabase is away: {time.monotonic() - started:.1f} s")
        release(one)
        wait_for("the end of both agents", lambda: not one.query(OPEN_RUNS), one)
        stack.start_postgres()
        back = time.monotonic()
        wait_done(stack, one, 2)
        print(f"Postgres back to outcomes told: {time.monotonic() - back:.1f} s")
        (later,) = insert(stack)
        wait_status(stack, one, later, "succeeded")
        assert set(runs_of([one]).values()) == {1}
        check_shared(stack, one)


def test_postgres_that_is_away_for_some_seconds_and_a_restart_of_postgrest_cost_nothing(
    own_supabase: LocalSupabase,
) -> None:
    stack = own_supabase
    with machine(stack) as one:
        one.start_daemon()
        (task,) = insert(stack, 1, "lasting")
        wait_status(stack, one, task, "running")
        for away in (outage_of(stack, 4.0), stack.restart_postgrest):
            away()
            (other,) = insert(stack)
            wait_status(stack, one, other, "succeeded")
        release(one)
        wait_status(stack, one, task, "succeeded")
        assert fence(stack, task) == 1
        check_shared(stack, one)


def outage_of(stack: LocalSupabase, seconds: float) -> Callable[[], None]:
    def happen() -> None:
        stack.stop_postgres()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            time.sleep(0.1)  # sleeps because the length of the outage is what is tested
        stack.start_postgres()

    return happen


def test_answers_that_are_lost_after_the_commit_start_and_end_every_task_once(supabase: LocalSupabase) -> None:
    with machine(supabase) as one:
        one.start_daemon()
        for function in ("claim_tasks", "begin_task", "finish_task", "renew_leases", "append_task_events"):
            supabase.faults.add(Cut(pattern=f"/rpc/{function}", executed=True, times=2))
        tasks = insert(supabase, 12)
        wait_done(supabase, one, len(tasks), limit_s=90)
        runs = runs_of([one])
        assert [task for task in tasks if runs[task] != 1] == []
        assert rows(supabase, "select distinct fence from tasks") == [(1,)]
        check_shared(supabase, one)


@pytest.mark.parametrize(
    "fault", [PAGE, WrongAnswer(pattern="/rpc/", status=503), WrongAnswer(pattern="/rpc/", status=429)], ids=str
)
def test_foreign_answers_are_weathered(supabase: LocalSupabase, fault: WrongAnswer) -> None:
    with machine(supabase) as one:
        one.start_daemon()
        (task,) = insert(supabase, 1, "lasting")
        wait_status(supabase, one, task, "running")
        supabase.faults.add(fault)
        wait_state(one, "away", "refused")
        release(one)
        wait_for("the end of the agent", lambda: not one.query(OPEN_RUNS), one)
        assert status(supabase, task) == "running"
        supabase.faults.clear()
        wait_status(supabase, one, task, "succeeded", limit_s=120)
        check_shared(supabase, one)


def test_a_secret_that_is_changed_stops_claims_and_no_agent_until_the_new_one_is_set(
    own_supabase: LocalSupabase,
) -> None:
    stack = own_supabase
    with machine(stack) as one:
        one.start_daemon()
        (task,) = insert(stack, 1, "lasting")
        wait_status(stack, one, task, "running")
        stack.rotate_jwt_secret()
        wait_state(one, "refused")
        (untouched,) = insert(stack)
        release(one)
        wait_for("the end of the agent", lambda: not one.query(OPEN_RUNS), one)
        assert (status(stack, task), status(stack, untouched)) == ("running", "queued")
        one.stop_daemon()
        one.overrides.update(secrets(stack))
        one.start_daemon()
        wait_done(stack, one, 2, limit_s=90)
        assert (fence(stack, task), runs_of([one])[task]) == (1, 1)
        check_shared(stack, one)


REALTIME = {
    "ten copies": lambda realtime: setattr(realtime.faults, "copies", 10),
    "out of order": lambda realtime: setattr(realtime.faults, "reorder_s", 0.5),
    "silent": lambda realtime: setattr(realtime.faults, "silent", True),
    "never ready": lambda realtime: setattr(realtime.faults, "never_ready", True),
    "unpublished": lambda realtime: setattr(realtime.faults, "unpublished", True),
}


@pytest.mark.parametrize("trouble", REALTIME)
def test_whatever_realtime_does_tasks_run_within_a_sweep(supabase: LocalSupabase, trouble: str) -> None:
    REALTIME[trouble](supabase.realtime)
    try:
        with machine(supabase) as one:
            one.start_daemon()
            tasks = insert(supabase, 10)
            wait_done(supabase, one, len(tasks))
            assert set(runs_of([one]).values()) == {1}
            check_shared(supabase, one)
    finally:
        supabase.realtime.mend()


def test_sockets_that_are_closed_or_half_open_and_a_row_of_two_megabytes_delay_nothing(
    supabase: LocalSupabase,
) -> None:
    with machine(supabase) as one:
        one.start_daemon()
        wait_state(one, "live")
        supabase.on_loop(supabase.realtime.close_sockets(1012))
        insert(supabase)
        wait_done(supabase, one, 1)
        wait_state(one, "live")
        supabase.on_loop(supabase.realtime.freeze_sockets())
        insert(supabase)
        wait_done(supabase, one, 2)
        insert(supabase, prompt="x" * 2_000_000)
        wait_done(supabase, one, 3)
        check_shared(supabase, one)


SUCCEEDED = "SELECT 1 FROM tasks WHERE task_id = ? AND status = 'succeeded'"
