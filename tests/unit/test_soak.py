"""The simulated day is one, and its measurement would notice a daemon that grows."""

import asyncio
import gc
from pathlib import Path

import pytest

from benchmarks.simulated_daemon import SimulatedDaemon, simulated_daemon
from benchmarks.soak import Day, Size, goals, growth, report, slope, watch, work_for
from benchmarks.virtual_time import VirtualLoop
from ccm_orchestrator.telemetry.log_file import LogFile, Rotation
from ccm_orchestrator.telemetry.masking import Masker
from ccm_orchestrator.wiring import observing

HOURS = 12
LEAK_OBJECTS = 50_000
LEAK_BYTES = 4_000_000
SIMULATED_S = 600.0
LOOPS = {
    "API",
    "database",
    "dispatcher of local",
    "event loop",
    "incidents",
    "incidents of agents",
    "intake",
    "listener",
    "notifications",
    "renewal of local",
    "rescue of local",
    "standing agents",
    "sweeper",
    "telemetry",
    "tidying",
    "upkeep",
}


def passing() -> asyncio.Runner:
    return asyncio.Runner(loop_factory=VirtualLoop)


def test_an_hour_passes_in_moments_and_threads_take_no_time_of_it() -> None:
    async def wait() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        never = loop.create_future()
        await asyncio.wait({never}, timeout=3600)
        slept_s = loop.time() - began_s
        late = asyncio.ensure_future(asyncio.wait({never}, timeout=0.5))
        await asyncio.to_thread(Path("/").exists)
        assert not late.done(), "the clock jumped while a thread was at work"
        await late
        return slept_s, loop.time() - began_s

    with passing() as runner:
        slept_s, all_s = runner.run(wait())
    assert slept_s == pytest.approx(3600, abs=0.1)
    assert all_s == pytest.approx(3600.5, abs=0.1)


def leave_process_alone(monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    """A daemon has one of its own, and sets up its log, its hooks and its garbage collector."""

    def start_log(*_: object) -> tuple[LogFile, Masker]:
        return LogFile(directory / "daemon.log", Rotation()), Masker()

    monkeypatch.setattr(observing, "start_log", start_log)
    monkeypatch.setattr(gc, "freeze", lambda: None)


def test_the_simulated_daemon_does_its_tasks_and_all_its_loops_beat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_process_alone(monkeypatch, tmp_path)

    async def live() -> tuple[SimulatedDaemon, dict[str, int], dict[str, int]]:
        async with simulated_daemon(tmp_path) as daemon:
            before = {heart.name: heart.beats for heart in daemon.watchdog.hearts}
            await work_for(daemon, SIMULATED_S)
            beats = {heart.name: heart.beats - before[heart.name] for heart in daemon.watchdog.hearts}
            return daemon, await daemon.statuses(), beats

    with passing() as runner:
        daemon, tasks, beats = runner.run(live())
    assert tasks == {"succeeded": 4}
    assert set(beats) == LOOPS
    assert min(beats.values()) > SIMULATED_S / 15 / 1.5
    assert daemon.watchdog.late == []
    assert daemon.pad.runs == {}


async def test_a_leak_is_noticed_and_steady_work_is_not() -> None:
    kept: list[object] = []

    async def work() -> None:
        assert len([{"task": number} for number in range(LEAK_OBJECTS)]) == LEAK_OBJECTS

    async def leak() -> None:
        await work()
        kept.append([[number] for number in range(LEAK_OBJECTS)])
        kept.append(b"x" * LEAK_BYTES)

    assert [goal.met for goal in goals(await watch(HOURS, work))] == [True] * 3
    assert [goal.met for goal in goals(await watch(HOURS, leak))] == [False] * 3


def test_growth_and_slope_leave_out_the_beginning() -> None:
    values = [1.0, 90.0, 1.0, 100.0, 100.0, 100.0, 101.0, 103.0, 102.0, 110.0, 110.0, 110.0]
    assert growth(values) == pytest.approx(1.1)
    assert slope([0.0, 0.0, 0.0, 7.0, 10.0, 13.0, 16.0, 19.0, 22.0, 25.0, 28.0, 31.0]) == pytest.approx(3.0)


def test_tasks_that_failed_and_loops_that_stood_still_miss_their_goals() -> None:
    day = Day([Size(80.0, 3000, 400_000, 10.0)] * 8, {"succeeded": 9, "failed": 1}, ["sweeper"])
    assert [goal.met for goal in report(day).goals] == [True, True, True, False, False]
