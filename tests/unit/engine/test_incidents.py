"""The book of incidents: what is opened and closed by looking around and by reading the event log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from ccm_orchestrator.domain.events import BusEvent, EventKind
from ccm_orchestrator.domain.incident_rules import meaning
from ccm_orchestrator.domain.incidents import Change, Closing, Incident, IncidentKind, Opening, Trouble
from ccm_orchestrator.engine.bus import Bus
from ccm_orchestrator.engine.incident_book import TELL_AGAIN_S, IncidentBook
from ccm_orchestrator.engine.incident_watch import RECOVERY_S, SAVE_EVERY, IncidentWatch, Probe
from ccm_orchestrator.errors import StoreUnavailable
from ccm_orchestrator.fakes.clock import START, FakeClock
from ccm_orchestrator.fakes.memory_incidents import MemoryIncidentStore
from ccm_orchestrator.fakes.memory_journal import MemoryEventStore
from ccm_orchestrator.ports.incidents import IncidentQuery

FULL = Trouble(IncidentKind.DISK_FULL, "/state", "disk probe", "1 MB is free.")
RECOVERY = (IncidentKind.RECOVERY_FAILED, "disk_full: /state")


class Store(MemoryIncidentStore):
    away = False

    async def apply(self, changes: Sequence[Change], cursor: int | None = None) -> Sequence[Incident]:
        if self.away:
            raise StoreUnavailable("The disk is full.")
        return await super().apply(changes, cursor)


class Scene:
    def __init__(self) -> None:
        self.clock, self.events = FakeClock(), MemoryEventStore()
        self.store = Store(self.events)
        self.wrong: list[Trouble] | None = []
        self.told: list[BusEvent] = []
        self.everybody_hears = True
        self.restart()

    def restart(self) -> None:
        bus = Bus(self.events)
        self.book = IncidentBook(self.store, bus, self.clock, self._tell)
        probe = Probe({IncidentKind.DISK_FULL: "free space"}, self._look)
        self.watch = IncidentWatch(self.book, self.store, bus, self.clock, [probe])

    async def _look(self) -> Sequence[Trouble] | None:
        return self.wrong

    async def _tell(self, event: BusEvent) -> bool:
        self.told.append(event)
        return self.everybody_hears

    async def happens(self, kind: EventKind, run_id: str | None = "run-1", **data: Any) -> None:
        await self.events.append([BusEvent(kind, self.clock.now(), "1", run_id, data)])
        await self.catch_up()

    async def catch_up(self) -> None:
        cursor = await self.store.cursor() or 0
        await self.watch.read(await self.events.read(cursor), cursor)

    async def open(self) -> list[tuple[IncidentKind, str]]:
        return [one.trouble.key for one in await self.store.incidents(IncidentQuery(open_only=True))]

    async def over(self) -> dict[IncidentKind, str | None]:
        found = await self.store.incidents(IncidentQuery())
        return {one.trouble.kind: one.recovered_by for one in found if not one.is_open}

    async def kinds(self) -> list[EventKind]:
        told = (EventKind.INCIDENT_OPENED, EventKind.INCIDENT_RECOVERED)
        return [stored.event.kind for stored in await self.events.read(0) if stored.event.kind in told]


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_what_is_seen_is_open_until_it_is_seen_no_more(scene: Scene) -> None:
    scene.wrong = [FULL]
    for _ in range(3):
        await scene.watch.look()
    assert await scene.open() == [FULL.key]
    (row,) = await scene.store.incidents(IncidentQuery())
    assert row.attempts == 1, "it lasts, and did not happen again"
    assert await scene.kinds() == [EventKind.INCIDENT_OPENED]
    scene.wrong = None
    await scene.watch.look()
    assert await scene.open() == [FULL.key], "what cannot be told changes nothing"
    scene.wrong = []
    await scene.watch.look()
    assert await scene.over() == {IncidentKind.DISK_FULL: "free space"}
    assert await scene.kinds() == [EventKind.INCIDENT_OPENED, EventKind.INCIDENT_RECOVERED]


async def test_the_next_daemon_closes_what_an_earlier_one_opened(scene: Scene) -> None:
    scene.wrong = [FULL]
    await scene.watch.look()
    scene.restart()
    scene.wrong = []
    await scene.watch.look()
    assert await scene.open() == []


async def test_what_lasts_is_a_failed_recovery_of_its_own(scene: Scene) -> None:
    scene.wrong = [FULL]
    await scene.watch.look()
    scene.clock.advance(RECOVERY_S - 1)
    await scene.watch.look()
    assert await scene.open() == [FULL.key]
    scene.clock.advance(1)
    await scene.watch.look()
    await scene.watch.look()
    assert await scene.open() == [RECOVERY, FULL.key]
    scene.wrong = []
    await scene.watch.look()
    assert await scene.open() == []


async def test_without_the_store_people_are_told_and_the_row_is_written_later(scene: Scene) -> None:
    scene.wrong, scene.store.away = [FULL], True
    await scene.watch.look()
    await scene.watch.look()
    assert [event.data["kind"] for event in scene.told] == ["disk_full"]
    scene.clock.advance(60)
    scene.wrong, scene.store.away = [], False
    await scene.watch.look()
    (known,) = await scene.store.incidents(IncidentQuery())
    assert (known.opened_at, known.recovered_at) == (START, scene.clock.now())
    (opened, over) = [stored.event for stored in await scene.events.read(0)]
    assert (opened.data["told"], over.data["told"]) == (True, False)


async def test_people_who_could_not_be_told_are_told_again(scene: Scene) -> None:
    scene.wrong, scene.store.away, scene.everybody_hears = [FULL], True, False
    await scene.watch.look()
    await scene.watch.look()
    assert len(scene.told) == 1
    scene.clock.advance(TELL_AGAIN_S)
    scene.everybody_hears = True
    await scene.watch.look()
    scene.clock.advance(TELL_AGAIN_S)
    await scene.watch.look()
    assert len(scene.told) == 2


async def test_an_agent_that_died_is_an_incident_until_another_works(scene: Scene) -> None:
    await scene.happens(EventKind.TASK_QUEUED, failure_kind="lost", reason="The agent ended with its tmux server.")
    (known,) = await scene.store.incidents(IncidentQuery())
    expected = Trouble(IncidentKind.AGENT_LOST, "task 1", "engine", "The agent ended with its tmux server.", ("run-1",))
    assert known.trouble == expected
    await scene.happens(EventKind.TASK_RUNNING, "run-2")
    assert await scene.over() == {IncidentKind.AGENT_LOST: "a new try, whose agent works"}


async def test_a_stuck_agent_recovers_by_going_on_or_by_a_new_try(scene: Scene) -> None:
    await scene.happens(EventKind.AGENT_NUDGED)
    assert await scene.open() == [(IncidentKind.AGENT_STUCK, "task 1")]
    await scene.happens(EventKind.TOOL_USE_START)
    assert await scene.over() == {IncidentKind.AGENT_STUCK: "the agent itself, which went on"}
    await scene.happens(EventKind.AGENT_NUDGED, "run-2")
    await scene.happens(EventKind.TASK_QUEUED, "run-2", failure_kind="inactivity", reason="Nothing for 10 minutes.")
    assert await scene.open() == [(IncidentKind.AGENT_STUCK, "task 1")]
    await scene.happens(EventKind.TASK_RUNNING, "run-3")
    assert await scene.open() == []


async def test_a_task_without_tries_left_is_a_failed_recovery_until_a_person_releases_it(scene: Scene) -> None:
    await scene.happens(EventKind.TASK_QUEUED, failure_kind="lost")
    held = {"failure_kind": "lost", "hold_reason": "attempts_exhausted", "reason": "5 tries were lost."}
    await scene.happens(EventKind.TASK_HELD, **held)
    assert set(await scene.open()) == {(IncidentKind.AGENT_LOST, "task 1"), (IncidentKind.RECOVERY_FAILED, "task 1")}
    await scene.happens(EventKind.TASK_QUEUED, None, reason="released")
    assert await scene.open() == []


async def test_a_task_that_failed_leaves_nothing_open(scene: Scene) -> None:
    await scene.happens(EventKind.TASK_FAILED, failure_kind="agent_exit", reason="It ended with 1.")
    assert await scene.over() == {IncidentKind.AGENT_LOST: "nothing: no try is left, and the task has failed"}


async def test_what_was_read_is_not_read_again_after_a_restart(scene: Scene) -> None:
    await scene.happens(EventKind.TASK_QUEUED, failure_kind="lost")
    scene.restart()
    await scene.catch_up()
    (known,) = await scene.store.incidents(IncidentQuery())
    assert known.attempts == 1


async def test_events_without_meaning_cost_a_commit_now_and_then_only(scene: Scene) -> None:
    dull = BusEvent(EventKind.AGENT_OUTPUT, START, "1", "run-1")
    await scene.events.append([dull] * (SAVE_EVERY - 1))
    assert await scene.watch.read(await scene.events.read(0, 5000), 0) == 0
    await scene.events.append([dull])
    assert await scene.watch.read(await scene.events.read(0, 5000), 0) == SAVE_EVERY == await scene.store.cursor()


@pytest.mark.parametrize(
    "kind", [kind for kind in EventKind if kind.value.startswith(("permission", "message", "hook"))]
)
def test_other_events_mean_nothing(kind: EventKind) -> None:
    known = {(incident, "task 1") for incident in IncidentKind}
    assert meaning(BusEvent(kind, START, "1", "run-1", {"failure_kind": "lost"}), known) == []


def test_an_event_without_a_task_means_nothing() -> None:
    assert meaning(BusEvent(EventKind.TASK_HELD, START, None, None, {"failure_kind": "lost"}), set()) == []


async def test_a_change_of_several_things_is_one_commit(scene: Scene) -> None:
    other = replace(FULL, kind=IncidentKind.CLOCK_JUMP)
    at: datetime = scene.clock.now()
    await scene.book.note(Opening(FULL, at), Opening(other, at), Closing(*FULL.key, at, "nobody"))
    assert await scene.open() == [other.key]
    assert await scene.book.keys() == {other.key}
