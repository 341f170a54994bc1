"""Several machines on one Supabase project: each task once, whoever is killed, stopped or cut off."""

from __future__ import annotations

import os
import signal
import time

import pytest

from ccm_orchestrator.devstack.stack import LocalSupabase
from tests.acceptance.supabase_worlds import (
    HEAD,
    OPEN_RUNS,
    counts,
    fence,
    insert,
    machine,
    machines,
    release,
    rows,
    status,
    wait_done,
    wait_state,
    wait_status,
)
from tests.acceptance.worlds import wait_for
from tests.supabase_invariants import check_shared, runs_of

MANY = int(os.environ.get("CCM_TEST_TASKS", "300"))
"""1000 take some minutes on two busy cores."""


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("names", [("left", "right"), ("left", "middle", "right")], ids=["two", "three"])
def test_hundreds_of_tasks_run_once_each_on_some_machine(supabase: LocalSupabase, names: tuple[str, ...]) -> None:
    many = MANY if len(names) == 2 else MANY // 3
    with machines(supabase, *names) as each_one:
        for each in each_one:
            each.start_daemon()
        started = time.monotonic()
        insert(supabase, many)
        wait_done(supabase, each_one[0], many, limit_s=500)
        print(f"{many} tasks on {len(names)} machines: {time.monotonic() - started:.0f} s")
        runs = runs_of(each_one)
        assert set(runs.values()) == {1} and len(runs) == many
        assert rows(supabase, "select distinct fence, attempt from tasks") == [(1, 1)]
        assert all(each.query("SELECT count(*) FROM runs")[0][0] for each in each_one), "one machine did nothing"
        check_shared(supabase, *each_one)


@pytest.mark.timeout(240)
def test_a_machine_whose_daemon_is_killed_and_comes_back_runs_nothing_twice(supabase: LocalSupabase) -> None:
    with machines(supabase, "left", "right") as both:
        left = both[0]
        for each in both:
            each.start_daemon()
        lasting = insert(supabase, 4, "lasting")
        quick = insert(supabase, 40)
        wait_for("work on it", lambda: counts(supabase).get("succeeded", 0) > 5, left)
        left.kill_daemon()
        started = time.monotonic()
        left.start_daemon()
        print(f"killed to ready again: {time.monotonic() - started:.1f} s")
        release(*both)
        wait_done(supabase, left, len(lasting + quick), limit_s=120)
        runs = runs_of(both)
        assert [task for task in lasting + quick if runs[task] != 1] == []
        check_shared(supabase, *both)


@pytest.mark.timeout(240)
def test_a_daemon_that_slept_past_its_lease_finds_its_task_taken_over(supabase: LocalSupabase) -> None:
    with machines(supabase, "left", "right") as both:
        left, right = both
        left.start_daemon()
        (task,) = insert(supabase, 1, "lasting")
        wait_status(supabase, left, task, "running")
        right.start_daemon()
        assert left.daemon is not None
        left.daemon.send_signal(signal.SIGSTOP)
        stopped = time.monotonic()
        wait_for("a takeover", lambda: fence(supabase, task) > 1 and status(supabase, task) == "running", right, 120)
        print(f"stopped to taken over and running elsewhere: {time.monotonic() - stopped:.1f} s (grace 8 s)")
        left.daemon.send_signal(signal.SIGCONT)
        wait_for("the end of the old agent", lambda: not left.query(OPEN_RUNS), left)
        assert status(supabase, task) == "running"
        release(*both)
        wait_status(supabase, right, task, "succeeded")
        assert rows(supabase, "select result ->> 'run_id' from tasks") == [right.query("SELECT run_id FROM runs")[0]]
        check_shared(supabase, *both)


@pytest.mark.timeout(240)
def test_an_outcome_from_behind_a_partition_changes_nothing_and_is_kept(supabase: LocalSupabase) -> None:
    with supabase.proxy() as proxy, machine(supabase, "left", proxy.url) as left, machine(supabase, "right") as right:
        left.start_daemon()
        (task,) = insert(supabase, 1, "lasting")
        wait_status(supabase, left, task, "running")
        right.start_daemon()
        proxy.black_hole()
        release(left)
        wait_for("the end of the agent behind the partition", lambda: not left.query(OPEN_RUNS), left)
        wait_for("a takeover", lambda: fence(supabase, task) > 1 and status(supabase, task) == "running", right, 120)
        healed = time.monotonic()
        proxy.heal()
        late = "select fence, result ->> 'outcome' from ccm.late_results"
        wait_for("the late outcome", lambda: rows(supabase, late), left, 60)
        print(f"healed to late outcome refused and kept: {time.monotonic() - healed:.1f} s")
        assert rows(supabase, late) == [(1, "succeeded")]
        assert status(supabase, task) == "running"
        release(right)
        wait_status(supabase, right, task, "succeeded")
        check_shared(supabase, left, right)


@pytest.mark.timeout(240)
def test_a_partition_shorter_than_the_grace_takes_nothing_from_anybody(supabase: LocalSupabase) -> None:
    patient = HEAD.replace("takeover_grace_s = 8", "takeover_grace_s = 90")
    with (
        supabase.proxy() as proxy,
        machine(supabase, "left", proxy.url, head=patient) as left,
        machine(supabase, "right", head=patient) as right,
    ):
        left.start_daemon()
        (task,) = insert(supabase, 1, "lasting")
        wait_status(supabase, left, task, "running")
        right.start_daemon()
        proxy.black_hole()
        wait_status(supabase, left, task, "orphaned")
        proxy.heal()
        healed = time.monotonic()
        wait_status(supabase, left, task, "running")
        print(f"healed to running again: {time.monotonic() - healed:.1f} s")
        release(left)
        wait_status(supabase, left, task, "succeeded")
        assert fence(supabase, task) == 1 and runs_of([left, right])[task] == 1
        wait_state(left, "live", "degraded")
        check_shared(supabase, left, right)
