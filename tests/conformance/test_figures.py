"""What every count of the stored promises; right after a restart, too, for it remembers nothing."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from ccm_orchestrator.adapters.sqlite import figures as queries
from ccm_orchestrator.adapters.sqlite.database import Database
from ccm_orchestrator.adapters.sqlite.events import SqliteEventStore
from ccm_orchestrator.adapters.sqlite.figures import SqliteFigures
from ccm_orchestrator.adapters.sqlite.incidents import SqliteIncidentStore
from ccm_orchestrator.adapters.sqlite.journal import SqliteJournal
from ccm_orchestrator.adapters.sqlite.tasks import SqliteTaskStore
from ccm_orchestrator.domain.agent import AgentState, AgentView
from ccm_orchestrator.domain.dialogue import PermissionRequest, PermissionStatus
from ccm_orchestrator.domain.events import BusEvent, EventKind
from ccm_orchestrator.domain.incidents import Closing, IncidentKind, Opening, Trouble
from ccm_orchestrator.domain.run import Mode, Run, RunState
from ccm_orchestrator.domain.task import NewTask
from ccm_orchestrator.fakes.clock import FakeClock
from ccm_orchestrator.fakes.memory_figures import MemoryFigures
from ccm_orchestrator.fakes.memory_incidents import MemoryIncidentStore
from ccm_orchestrator.fakes.memory_journal import MemoryEventStore, MemoryJournal
from ccm_orchestrator.fakes.memory_tasks import MemoryTaskStore
from ccm_orchestrator.ports.figures import Figures, FigureStore, Spent
from ccm_orchestrator.ports.incidents import IncidentStore
from ccm_orchestrator.ports.journal import EventStore, Journal
from ccm_orchestrator.ports.tasks import ClaimRequest, Project, TaskStore
from tests.stores import opened


@dataclass
class Place:
    clock: FakeClock
    tasks: TaskStore
    journal: Journal
    store: FigureStore
    incidents: IncidentStore
    events: EventStore

    async def run(self, run_id: str, state: RunState = RunState.RUNNING) -> None:
        run = Run(
            run_id=run_id,
            task_id="task",
            fence=1,
            attempt=1,
            term=0,
            state=state,
            project="demo",
            cwd=Path("/srv/demo"),
            profile="executor",
            driver="claude",
            mode=Mode.PRINT,
            session_id=None,
            resumed=False,
            created_at=self.clock.now(),
        )
        await self.journal.save_run(run, 1)


@pytest.fixture(params=["memory", "sqlite"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    clock = FakeClock()
    async with AsyncExitStack() as stack:
        if request.param == "memory":
            tasks, journal = MemoryTaskStore(clock), MemoryJournal(clock)
            incidents: IncidentStore = MemoryIncidentStore()
            events: EventStore = MemoryEventStore()
            figures = MemoryFigures(tasks, journal, clock, incidents, events)
            place = Place(clock, tasks, journal, figures, incidents, events)
        else:
            database = await opened(stack, tmp_path / "ccm.db")
            stored = SqliteTaskStore(database, clock, 100)
            incidents, events = SqliteIncidentStore(database), SqliteEventStore(database)
            place = Place(
                clock, stored, SqliteJournal(database, clock), SqliteFigures(database, clock), incidents, events
            )
        await place.tasks.add_project(Project("demo", Path("/srv/demo")))
        await place.tasks.add_project(Project("shop", Path("/srv/shop")))
        yield place


async def test_nothing_is_counted_where_nothing_is(place: Place) -> None:
    assert await place.store.figures() == Figures()


async def test_what_runs_used_is_counted_from_a_time_and_a_place_in_the_log_on(place: Place) -> None:
    start = place.clock.now()
    usage = {"input_tokens": 10, "output_tokens": 5, "cache_creation_tokens": 1, "cache_read_tokens": 900}
    ended = BusEvent(EventKind.TASK_SUCCEEDED, start, "1", "run", {"usage": usage | {"cost_usd": 0.5}})
    unknown = replace(ended, kind=EventKind.TASK_QUEUED, data={"usage": usage | {"cost_usd": None}})
    nothing = [replace(ended, run_id=None), replace(ended, kind=EventKind.AGENT_OUTPUT), replace(unknown, data={})]
    assert await place.store.spent(start, 0) == Spent()
    await place.events.append([ended, unknown, *nothing, replace(ended, at=start - timedelta(seconds=1))])
    assert await place.store.spent(start, 0) == Spent(0.5, 32, 6)
    assert await place.store.spent(start, 1) == Spent(0.0, 16, 6)
    assert await place.store.spent(start, 6) == Spent(0.0, 0, 6)


async def test_what_runs_used_is_counted_by_project(place: Place) -> None:
    start = place.clock.now()
    await place.run("of-demo")
    usage = {"input_tokens": 10, "output_tokens": 5, "cost_usd": 0.5}
    ended = BusEvent(EventKind.TASK_SUCCEEDED, start, "task", "of-demo", {"usage": usage})
    forgotten = replace(ended, run_id="forgotten", data={"usage": usage | {"cost_usd": 0.75}})
    early = replace(ended, at=start - timedelta(seconds=1))
    assert await place.store.spent_by_project(start) == {}
    await place.events.append([ended, ended, forgotten, early, replace(ended, kind=EventKind.AGENT_OUTPUT)])
    spent = await place.store.spent_by_project(start)
    assert list(spent.items()) == [("demo", Spent(1.0, 30)), ("", Spent(0.75, 15))]


async def test_open_incidents_are_counted_by_kind(place: Place) -> None:
    now = place.clock.now()
    found = [Trouble(IncidentKind.AGENT_LOST, f"task {n}", "engine", "It died.") for n in range(3)]
    await place.incidents.apply(
        [*(Opening(trouble, now) for trouble in found), Closing(*found[0].key, now, "a new try")]
    )
    assert (await place.store.figures()).incidents == {"agent_lost": 2}


async def test_unfinished_tasks_are_counted_by_project_and_status(place: Place) -> None:
    for project in ("demo", "demo", "demo", "shop"):
        await place.tasks.enqueue(NewTask(project, "Mend it"))
    first, second = await place.tasks.claim(ClaimRequest("one", "here", "boot", 2, 60.0))
    await place.tasks.begin(first.key, "run-1")
    counted = (await place.store.figures()).tasks
    assert sum(counted.values()) == 4 and counted["demo", "running"] == 1
    assert counted[second.project, "claimed"] == 1 and counted["demo", "queued"] >= 1
    await place.tasks.cancel((await place.tasks.enqueue(NewTask("shop", "No")))[0].task_id)
    assert sum((await place.store.figures()).tasks.values()) == 4


async def test_the_oldest_task_is_one_that_could_be_claimed(place: Place) -> None:
    later = place.clock.now() + timedelta(hours=1)
    await place.tasks.enqueue(NewTask("demo", "Later", run_after=later))
    place.clock.advance(100)
    assert (await place.store.figures()).oldest_queued_s == {}
    await place.tasks.enqueue(NewTask("demo", "Now"))
    place.clock.advance(50)
    assert (await place.store.figures()).oldest_queued_s == {"demo": pytest.approx(50)}


async def test_agents_of_open_runs_are_counted_by_what_is_believed_of_them(place: Place) -> None:
    await place.journal.begin_term("boot")
    for run_id, state in (("a" * 32, RunState.RUNNING), ("b" * 32, RunState.RUNNING), ("c" * 32, RunState.ENDED)):
        await place.run(run_id, state)
    view = AgentView(AgentState.WAITING, place.clock.now(), None, place.clock.now())
    await place.journal.save_views({"a" * 32: view, "c" * 32: view})
    assert (await place.store.figures()).agents == {"waiting": 1, "spawning": 1}


async def test_requests_are_counted_until_they_are_closed(place: Place) -> None:
    for number in range(2):
        request = PermissionRequest(
            f"request-{number}", "run", "task", "permission", "Bash", {}, (), PermissionStatus.OPEN, place.clock.now()
        )
        await place.journal.add_permission(request)
        place.clock.advance(30)
    found = await place.store.figures()
    assert found.permissions == 2 and found.oldest_permission_s == pytest.approx(60)
    await place.journal.close_permission("request-0", PermissionStatus.EXPIRED)
    found = await place.store.figures()
    assert found.permissions == 1 and found.oldest_permission_s == pytest.approx(30)


async def test_ten_thousand_tasks_cost_no_more_than_fifty_milliseconds(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        database = await opened(stack, tmp_path / "ccm.db")
        await _fill(database)
        store = SqliteFigures(database, FakeClock())
        took = []
        for _ in range(5):
            began_at = time.perf_counter()
            found = await store.figures()
            took.append(time.perf_counter() - began_at)
        assert found.tasks == {("demo", "queued"): 9_000, ("demo", "held"): 1_000}
        assert min(took) <= 0.05
        plans = await database.read(
            lambda c: [
                row["detail"]
                for query in (
                    queries.QUEUED,
                    queries.LEASED,
                    queries.HELD,
                    queries.AGENTS,
                    queries.PERMISSIONS,
                    queries.INCIDENTS,
                )
                for row in c.execute(f"EXPLAIN QUERY PLAN {query}", {"now": ""})
            ]
        )
        assert not [step for step in plans if step.startswith("SCAN") and "INDEX" not in step]


async def _fill(database: Database) -> None:
    """Tasks with prompts that fill pages of their own."""
    insert = """
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
    INSERT INTO tasks (project, prompt, status, hold_reason)
    SELECT 'demo', hex(zeroblob(4000)), iif(i % 10, 'queued', 'held'), iif(i % 10, NULL, 'approval') FROM n
    """
    await database.write(lambda c: c.execute("INSERT INTO projects (name, path) VALUES ('demo', '/srv')").rowcount)
    await database.write(lambda c: c.execute(insert).rowcount)
