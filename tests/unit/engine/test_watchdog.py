"""Whichever loop hangs, it is noticed, named and mended: by a fresh orchestrator, or else by a fresh process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from ccm_orchestrator.domain.task import TaskStatus
from ccm_orchestrator.engine import dispatcher, heartbeats, orchestrator, watchdog
from ccm_orchestrator.engine.failpoints import Stall, stall_at, stall_nowhere
from ccm_orchestrator.engine.heartbeats import Heart, Hearts, Pulse
from ccm_orchestrator.engine.orchestrator import Orchestrator
from ccm_orchestrator.engine.watchdog import Watchdog
from ccm_orchestrator.errors import StoreUnavailable
from tests.unit.engine.elsewhere import Elsewhere
from tests.unit.engine.house import SHORT_S, House, house, shorten_waits
from tests.unit.engine.trouble import away, before

CHECK_S = 0.01
PATIENCE_S = 0.6
"""Of the watchdog, here; a busy machine may keep a healthy thread waiting for a part of it."""
LOOPS = (
    "database",
    "start-up",
    "listener",
    "intake",
    "tidying",
    "sweeper",
    "renewal of local",
    "renewal of supabase",
    "rescue of local",
    "rescue of supabase",
    "courier of supabase",
    "neighbours of supabase",
    "dispatcher of local",
    "dispatcher of supabase",
)


@pytest.fixture
async def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    shorten_waits(monkeypatch)
    for module, name, value in (
        (orchestrator, "BEAT_S", SHORT_S),
        (orchestrator, "LONGEST_TIDYING_S", PATIENCE_S),
        (heartbeats, "TURN_S", 0.02),
        (dispatcher, "REMOTE_WAIT_S", 0.02),
        (watchdog, "CHECK_S", CHECK_S),
        (watchdog, "RESTART_PAUSE_S", SHORT_S),
    ):
        monkeypatch.setattr(module, name, value)
    async with house(tmp_path) as built:
        yield built


class Kennel:
    """A watchdog and what it said."""

    def __init__(self, home: House, directory: Path, stall: Stall = stall_nowhere, patience_s: float = PATIENCE_S):
        self.home = home
        self.stall = stall
        self.patience_s = patience_s
        self.proofs = 0
        self.incidents: list[str] = []
        self.last_words: list[str] = []
        self.built: list[Orchestrator] = []
        self.around = Hearts(patience_s)
        self.stacks = directory / "stacks.log"
        self.dog = Watchdog(
            self._build, self.around, self.stacks, self._prove, self.incidents.append, self.last_words.append
        )

    def _build(self) -> Orchestrator:
        parts = self.home.parts()
        limits = replace(parts.limits, beat_s=self.patience_s, remote_beat_s=self.patience_s)
        self.built.append(Orchestrator(replace(parts, limits=limits, stall=self.stall)))
        return self.built[-1]

    def _prove(self) -> None:
        self.proofs += 1

    async def stop(self) -> None:
        await asyncio.to_thread(self.dog.stop)


@pytest.mark.parametrize("loop", LOOPS)
async def test_a_loop_that_hangs_is_named_and_a_fresh_orchestrator_goes_on(
    home: House, tmp_path: Path, loop: str
) -> None:
    home.remotes = [Elsewhere(home.clock).queue()]
    kennel = Kennel(home, tmp_path, stall_at(loop, tmp_path / "never"))
    kennel.dog.start()
    await home.until(lambda: kennel.incidents, "the notice")
    assert f"The loop {loop} of the orchestrator made no progress" in kennel.incidents[0]
    assert "orchestrator" in kennel.stacks.read_text()
    proofs = kennel.proofs
    await home.until(lambda: kennel.dog.ready and kennel.proofs > proofs, "a fresh one that gets on")
    assert kennel.dog.healthy and len(kennel.built) == 2 and kennel.last_words == []
    names = {heart.name for heart in kennel.built[-1].hearts}
    assert names == set(LOOPS) - {"start-up"}
    await kennel.stop()


async def test_what_a_fresh_orchestrator_does_not_mend_ends_the_process(home: House, tmp_path: Path) -> None:
    kennel = Kennel(home, tmp_path, patience_s=0.2)

    async def stall(name: str) -> None:
        if name == "intake":
            await asyncio.Event().wait()

    kennel.stall = stall
    kennel.dog.start()
    await home.until(lambda: kennel.last_words, "the end")
    assert "The loop intake of the orchestrator" in kennel.last_words[0] and "again and again" in kennel.last_words[0]
    assert len(kennel.incidents) == len(kennel.built) - 1 == 1
    proofs = kennel.proofs
    await kennel.stop()
    assert kennel.proofs == proofs and len(kennel.last_words) == 1, "it looks no more"


async def test_what_hangs_around_the_orchestrator_ends_the_process(home: House, tmp_path: Path) -> None:
    kennel = Kennel(home, tmp_path, patience_s=0.3)
    api = kennel.around.add("API")
    kennel.dog.start()

    def beaten() -> bool:
        api.beat()
        return kennel.proofs > 2

    await home.until(beaten, "proofs while it beats")
    await home.until(lambda: kennel.last_words, "the end")
    assert kennel.last_words == ["The loop API of the daemon made no progress; the process ends, to be started anew."]
    assert kennel.incidents == [] and not kennel.dog.healthy
    await kennel.stop()


async def test_nothing_is_proved_before_every_loop_has_turned(home: House, tmp_path: Path) -> None:
    kennel = Kennel(home, tmp_path, patience_s=5.0)
    silent = kennel.around.add("upkeep")
    kennel.dog.start()
    await home.until(lambda: kennel.dog.ready, "readiness")
    looks = kennel.built[0].turns + 20
    await home.until(lambda: kennel.built[0].turns > looks, "more looks")
    assert kennel.proofs == 0
    silent.beat()
    await home.until(lambda: kennel.proofs, "proof")
    await kennel.stop()


async def test_an_orchestrator_that_fails_is_started_again_three_times(
    home: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail() -> None:
        raise RuntimeError("a bug")

    before(monkeypatch, home.journal, "begin_term", fail)
    kennel = Kennel(home, tmp_path, patience_s=5.0)
    kennel.dog.start()
    await home.until(lambda: kennel.last_words, "the end")
    assert len(kennel.incidents) == watchdog.MAX_FAILURES
    await kennel.stop()


async def test_a_full_disk_at_the_start_is_waited_for_without_an_alarm_and_a_stop_ends_it(
    home: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before(monkeypatch, home.journal, "begin_term", away)
    kennel = Kennel(home, tmp_path, patience_s=5.0)
    kennel.dog.start()
    await home.until(lambda: kennel.proofs > 5, "progress")
    assert (kennel.dog.ready, kennel.dog.healthy, kennel.incidents) == (False, True, [])
    await kennel.stop()
    assert (kennel.dog.healthy, kennel.incidents, kennel.last_words) == (False, [], []), "its thread has ended"


async def test_work_goes_on_under_a_watchdog_that_has_nothing_to_do(home: House, tmp_path: Path) -> None:
    kennel = Kennel(home, tmp_path)
    kennel.dog.start()
    await home.until(lambda: kennel.dog.ready, "readiness")
    task_id = await home.add()
    kennel.dog.poke()
    await home.until_status(task_id, TaskStatus.RUNNING)
    goal = kennel.proofs + round(2 * PATIENCE_S / CHECK_S / watchdog.PROOF_LOOKS)
    await home.until(lambda: kennel.proofs > goal, "twice its patience without a fault")
    assert kennel.incidents == [] and len(kennel.built) == 1
    await kennel.stop()


class TestPulse:
    def test_it_counts_looks_so_a_machine_that_slept_is_no_alarm(self) -> None:
        hearts = Hearts(10.0)
        heart, pulse = hearts.add("intake"), Pulse(1.0)
        looks = 0
        while not pulse.late(hearts):
            looks += 1
            assert looks < 20
        assert looks == 11, "whatever the time was between them"
        heart.beat()
        assert pulse.late(hearts) == ()

    def test_it_names_all_that_stopped_together_and_nothing_else(self) -> None:
        hearts = Hearts(10.0)
        first, second, going = hearts.add("first"), hearts.add("second"), hearts.add("going")
        pulse = Pulse(1.0)
        for look in range(12):
            going.beat()
            if look < 3:
                second.beat()
            late = pulse.late(hearts)
        assert late == ["first", "second"]
        hearts.remove(first)
        hearts.remove(second)
        assert pulse.late(hearts) == ()

    def test_a_loop_that_takes_long_has_its_own_deadline_which_is_never_shorter(self) -> None:
        hearts = Hearts(10.0)
        assert (hearts.add("tidying", 600.0).deadline_s, hearts.add("courier", 2.0).deadline_s) == (600.0, 10.0)


async def beaten(heart: Heart, times: int) -> None:
    async with asyncio.timeout(10.0):
        while True:
            if heart.beats >= times:
                return
            await asyncio.sleep(SHORT_S)


class TestHeart:
    async def test_it_beats_while_it_rests_and_is_woken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(heartbeats, "TURN_S", SHORT_S)
        heart, news = Heart("intake", 1.0), asyncio.Event()
        resting = asyncio.create_task(heart.rest(60.0, news))
        await beaten(heart, 5)
        news.set()
        assert await resting is True
        assert await heart.rest(3 * SHORT_S) is False

    async def test_it_beats_for_work_that_takes_long_but_not_for_ever(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(heartbeats, "PULSE_S", SHORT_S)
        heart, done = Heart("upkeep", 1.0), asyncio.Event()
        working = asyncio.create_task(heart.during(done.wait(), 10 * SHORT_S))
        await beaten(heart, 10)
        for _ in range(10):
            await asyncio.sleep(SHORT_S)
        assert heart.beats == 10
        done.set()
        assert await working is True

    async def test_what_the_work_raises_comes_through_and_a_cancelled_one_is_cancelled(self) -> None:
        async def fail() -> None:
            raise StoreUnavailable("The disk is full.")

        with pytest.raises(StoreUnavailable):
            await Heart("upkeep", 1.0).during(fail(), 1.0)
        heart, never = Heart("upkeep", 1.0), asyncio.create_task(asyncio.Event().wait())
        waiting = asyncio.create_task(heart.during(never, 60.0))
        await beaten(heart, 1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert never.cancelled()
