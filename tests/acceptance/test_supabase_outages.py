"""The database, the gateway or the key goes away: agents go on, and everything is told afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ccm_orchestrator.devstack.faults import Cut, WrongAnswer
from ccm_orchestrator.devstack.stack import LocalSupabase
from tests.acceptance.supabase_worlds import (
    OPEN_RUNS,
    fence,
    insert,
    machine,
    release,
    release_one,
    rows,
    secrets,
    status,
    wait_done,
    wait_state,
    wait_status,
)
from tests.acceptance.worlds import wait_for
from tests.supabase_invariants import check_shared, runs_of

PAGE = WrongAnswer(pattern="/rpc/", status=200, body="<html>Log in</html>", content_type="text/html")
AWAY = "SELECT 1 FROM incidents WHERE kind = 'store_unreachable' AND recovered_at"
pytestmark = pytest.mark.timeout(240)


def test_postgres_that_is_away_and_a_restart_of_postgrest_cost_nothing(own_supabase: LocalSupabase) -> None:
    stack = own_supabase
    with machine(stack) as one:
        one.start_daemon()
        (task,) = insert(stack, 1, "lasting")
        wait_status(stack, one, task, "running")
        for name, away in {
            "4 s": outage_of(stack, 4.0),
            "12 s, longer than the lease": outage_of(stack, 12.0),
            "PostgREST anew": stack.restart_postgrest,
        }.items():
            away()
            back = time.monotonic()
            (other,) = insert(stack)
            wait_status(stack, one, other, "succeeded")
            print(f"{name}: back to a row done: {time.monotonic() - back:.1f} s")
        release(one)
        wait_status(stack, one, task, "succeeded")
        assert fence(stack, task) == 1
        check_shared(stack, one)


def test_postgres_that_is_away_for_a_minute_costs_nothing(own_supabase: LocalSupabase) -> None:
    stack = own_supabase
    with machine(stack) as one:
        one.start_daemon()
        ends, goes_on = insert(stack, 2, "lasting")
        for task in (ends, goes_on):
            wait_status(stack, one, task, "running")
        stack.stop_postgres()
        release_one(one, ends)
        began = time.monotonic()
        wait_for("the end of a minute", lambda: time.monotonic() > began + 60, one, 90)
        assert len(one.query(OPEN_RUNS)) == 1, "one agent has ended, and one works on"
        wait_for("a row of the outage", lambda: one.query(f"{AWAY} IS NULL"), one)
        stack.start_postgres()
        back = time.monotonic()
        wait_status(stack, one, ends, "succeeded")
        wait_for("the outage's end in its row", lambda: one.query(f"{AWAY} IS NOT NULL"), one)
        wait_status(stack, one, goes_on, "running")
        print(f"a minute: back to outcome told: {time.monotonic() - back:.1f} s")
        release(one)
        wait_done(stack, one, 2)
        assert rows(stack, "select distinct fence, attempt from tasks") == [(1, 1)]
        check_shared(stack, one, inserted=[ends, goes_on])


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


def test_a_token_of_somebody_else_that_runs_out_stops_claims_and_no_agent(supabase: LocalSupabase) -> None:
    with machine(supabase) as one:
        one.overrides.update(CCM_SUPABASE__JWT_SECRET=None, CCM_SUPABASE__SYSTEM_TOKEN=given(supabase, FORGIVEN_S))
        one.start_daemon()
        (task,) = insert(supabase, 1, "lasting")
        wait_status(supabase, one, task, "running")
        wait_state(one, "refused")
        with one.api() as api:
            error = api.get("/health/supabase").json()["last_error"]
        assert error.startswith("`supabase.system_token` expired at ") and "put a new one in its place" in error
        (untouched,) = insert(supabase)
        release(one)
        wait_for("the end of the agent", lambda: not one.query(OPEN_RUNS), one)
        assert status(supabase, untouched) == "queued"
        one.stop_daemon()
        one.overrides.update(CCM_SUPABASE__SYSTEM_TOKEN=given(supabase, 3600))
        one.start_daemon()
        wait_done(supabase, one, 2)
        assert (fence(supabase, task), runs_of([one])[task]) == (1, 1)
        check_shared(supabase, one, inserted=[task, untouched])


def test_a_new_token_in_its_file_is_taken_up_without_a_restart(supabase: LocalSupabase, tmp_path: Path) -> None:
    file = tmp_path / "system-token"
    file.touch(mode=0o600)
    file.write_text(given(supabase, FORGIVEN_S))
    with machine(supabase) as one:
        one.overrides.update(CCM_SUPABASE__JWT_SECRET=None, CCM_SUPABASE__SYSTEM_TOKEN_FILE=str(file))
        one.start_daemon()
        (task,) = insert(supabase, 1, "lasting")
        wait_status(supabase, one, task, "running")
        wait_state(one, "refused")
        began = time.monotonic()
        file.write_text(given(supabase, 3600))
        wait_state(one, "live", limit_s=110)
        print(f"new token in its file to live again: {time.monotonic() - began:.1f} s")
        release(one)
        wait_done(supabase, one, 1)
        assert (fence(supabase, task), runs_of([one])[task]) == (1, 1)
        check_shared(supabase, one)


FORGIVEN_S = -12.0
"""PostgREST forgives 30 s: such a token is good for 18 s more."""


def given(stack: LocalSupabase, left_s: float) -> str:
    """The token that an owner of the project made for the machine."""
    return stack.token(sub="machine", system_id="demo", exp=int(time.time() + left_s))
