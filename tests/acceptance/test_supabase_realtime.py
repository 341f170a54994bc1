"""Whatever Realtime does, tasks run within a sweep: it only wakes, and where it does not, the daemon says so."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from ccm_orchestrator.devstack.realtime.server import RealtimeServer
from ccm_orchestrator.devstack.stack import LocalSupabase
from tests.acceptance.supabase_worlds import insert, machine, wait_done, wait_state
from tests.supabase_invariants import check_shared, runs_of

pytestmark = [pytest.mark.tmux, pytest.mark.slow, pytest.mark.timeout(240)]

HEARS, LOOKS = "live", "degraded"


@pytest.fixture
def realtime(supabase: LocalSupabase) -> Iterator[RealtimeServer]:
    """Whose faults are taken back."""
    yield supabase.realtime
    supabase.realtime.mend()


@dataclass(frozen=True)
class Trouble:
    begin: Callable[[RealtimeServer], None]
    state: str
    """What the daemon says of its connection meanwhile."""


TROUBLES = {
    "ten copies": Trouble(lambda realtime: setattr(realtime.faults, "copies", 10), HEARS),
    "out of order": Trouble(lambda realtime: setattr(realtime.faults, "reorder_s", 0.5), HEARS),
    "silent": Trouble(lambda realtime: setattr(realtime.faults, "silent", True), HEARS),
    "never ready": Trouble(lambda realtime: setattr(realtime.faults, "never_ready", True), LOOKS),
    "unpublished": Trouble(lambda realtime: setattr(realtime.faults, "unpublished", True), LOOKS),
    "full": Trouble(lambda realtime: setattr(realtime.faults, "handshake_error", (503, "too many")), LOOKS),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_tasks_run_within_a_sweep_whatever_realtime_does(
    supabase: LocalSupabase, realtime: RealtimeServer, trouble: str
) -> None:
    TROUBLES[trouble].begin(realtime)
    with machine(supabase) as one:
        one.start_daemon()
        wait_state(one, TROUBLES[trouble].state)
        started = time.monotonic()
        tasks = insert(supabase, 10)
        wait_done(supabase, one, len(tasks))
        print(f"{trouble}: 10 rows done after {time.monotonic() - started:.1f} s (sweeps every 2 s or 0.5 s)")
        assert set(runs_of([one]).values()) == {1}
        check_shared(supabase, one, inserted=tasks)


def test_sockets_that_are_closed_and_a_row_of_two_megabytes_delay_nothing(
    supabase: LocalSupabase, realtime: RealtimeServer
) -> None:
    with machine(supabase) as one:
        one.start_daemon()
        wait_state(one, HEARS)
        supabase.on_loop(realtime.close_sockets(1012))
        closed = time.monotonic()
        tasks = insert(supabase)
        wait_done(supabase, one, 1)
        wait_state(one, HEARS)
        print(f"closed with 1012 to live again: {time.monotonic() - closed:.1f} s")
        tasks += insert(supabase, prompt="x" * 2_000_000)
        wait_done(supabase, one, 2)
        check_shared(supabase, one, inserted=tasks)


def test_a_half_open_socket_is_noticed_and_delays_nothing(supabase: LocalSupabase, realtime: RealtimeServer) -> None:
    with machine(supabase) as one:
        one.start_daemon()
        wait_state(one, HEARS)
        supabase.on_loop(realtime.freeze_sockets())
        frozen = time.monotonic()
        tasks = insert(supabase)
        wait_done(supabase, one, 1)
        wait_state(one, LOOKS, limit_s=90)
        print(f"half open to noticed: {time.monotonic() - frozen:.0f} s")
        wait_state(one, HEARS)
        tasks += insert(supabase)
        wait_done(supabase, one, 2)
        check_shared(supabase, one, inserted=tasks)
