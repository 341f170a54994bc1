"""One machine with a token of its own at a real project: the life of a task, lost answers, and being woken."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ccm_orchestrator.adapters.supabase.credentials import Credentials
from ccm_orchestrator.adapters.supabase.health import StoreState
from ccm_orchestrator.adapters.supabase.keys import shared_signer
from ccm_orchestrator.adapters.supabase.migrations import shipped_migrations
from ccm_orchestrator.adapters.supabase.store import SupabaseOptions, SupabaseStore
from ccm_orchestrator.devstack.faults import Cut
from ccm_orchestrator.devstack.stack import LocalSupabase
from ccm_orchestrator.domain.events import BusEvent, EventKind, StoredEvent
from ccm_orchestrator.domain.result import Outcome, TaskResult
from ccm_orchestrator.domain.task import LeaseKey, NewTask, TaskStatus
from ccm_orchestrator.errors import SchemaTooNew, StoreRefused, StoreUnavailable, TaskNotFound
from ccm_orchestrator.ports.outbox import Metric
from ccm_orchestrator.ports.systems import SystemInfo
from ccm_orchestrator.ports.tasks import ClaimRequest, FinishAnswer, LeaseAnswer, Project, TaskQuery
from ccm_orchestrator.security.secrets import Secret
from tests.realtime import eventually

LEASE_S = 60.0
DONE = TaskResult(Outcome.SUCCEEDED, "done\0")
PATIENCE_S = 20.0
NOW = datetime.now(UTC)


@dataclass
class Machines:
    stack: LocalSupabase
    exits: AsyncExitStack
    projects: list[Project] = field(default_factory=lambda: [Project("demo", Path("/demo"))])

    async def local_projects(self) -> list[Project]:
        return self.projects

    def made(self, system_id: str = "here", url: str | None = None, **options: Any) -> SupabaseStore:
        at = url or self.stack.url
        signer = shared_signer(Secret(self.stack.jwt_secret))
        known = Credentials(at, system_id, Secret(self.stack.publishable_key), signer=signer)
        info = SystemInfo(system_id, f"{system_id} machine", "1.0.0", 5, ("linux",))
        defaults: dict[str, Any] = {"migrations": tuple(shipped_migrations()), "budget_s": 2.0}
        chosen = SupabaseOptions(info, f"{system_id}-boot", **defaults | options)
        store = SupabaseStore(at, known, chosen, self.local_projects)
        self.exits.push_async_callback(store.stop)
        return store

    async def started(self, system_id: str = "here", **options: Any) -> SupabaseStore:
        store = self.made(system_id, **options)
        await store.start(PATIENCE_S)
        assert await store.tasks.systems(), store.health()
        return store

    def insert(self, **columns: object) -> None:
        """As somebody does by hand."""
        values = {"project": "demo", "prompt": "Mend it"} | columns
        names = ", ".join(values)
        with psycopg.connect(self.stack.owner_url) as connection:
            connection.execute(
                f"insert into public.tasks ({names}) values ({', '.join(['%s'] * len(values))})".encode(),
                list(values.values()),
            )


@pytest.fixture
async def machines(supabase: LocalSupabase) -> AsyncIterator[Machines]:
    async with AsyncExitStack() as exits:
        yield Machines(supabase, exits)


def request(name: str = "r1", system_id: str = "here", count: int = 5) -> ClaimRequest:
    return ClaimRequest(name, system_id, f"{system_id}-boot", count, LEASE_S)


class TestIdentity:
    async def test_a_task_lives_its_whole_life_with_a_machines_own_token(self, machines: Machines) -> None:
        tasks = (await machines.started()).tasks
        added, created = await tasks.enqueue(NewTask("demo", "Mend it\0", labels=("linux",)))
        assert created
        (claimed,) = await tasks.claim(request())
        assert (claimed.prompt, claimed.labels) == ("Mend it\0", ("linux",))
        assert (await tasks.begin(claimed.key, "run1")).status is TaskStatus.RUNNING
        assert (await tasks.mark(claimed.key, TaskStatus.WAITING)).status is TaskStatus.WAITING
        assert await tasks.renew("here", "here-boot", [claimed.key], LEASE_S) == {added.task_id: LeaseAnswer.OK}
        assert await tasks.adopt(claimed.key, "here", "here-boot2", LEASE_S) is LeaseAnswer.OK
        assert await tasks.rescue("here", 600.0) == []
        assert await tasks.finish(claimed.key, DONE) is FinishAnswer.RECORDED
        assert [task.result for task in await tasks.list(TaskQuery())] == [DONE]
        assert await tasks.late_results(added.task_id) == []

    async def test_a_machine_may_not_speak_for_another(self, machines: Machines) -> None:
        here = await machines.started()
        await machines.started("there")
        with pytest.raises(StoreRefused, match="'there'"):
            await here.tasks.claim(request(system_id="there"))

    async def test_what_is_meant_for_another_does_not_exist_for_a_machine(self, machines: Machines) -> None:
        here, there = await machines.started(), await machines.started("there")
        added, _ = await there.tasks.enqueue(NewTask("demo", "Mend it", system_id="there"))
        with pytest.raises(TaskNotFound):
            await here.tasks.get(added.task_id)
        assert await here.tasks.claim(request()) == []

    async def test_machines_see_each_other_and_their_announcements(self, machines: Machines) -> None:
        here = await machines.started()
        await machines.started("there")
        seen = await here.tasks.systems()
        assert [(one.system_id, one.system_name, one.labels, one.max_agents) for one in seen] == [
            ("here", "here machine", ("linux",), 5),
            ("there", "there machine", ("linux",), 5),
        ]
        assert all(one.silent_s < PATIENCE_S for one in seen)

    async def test_projects_follow_those_of_the_machine(self, machines: Machines) -> None:
        store = await machines.started()
        assert [(project.name, project.path) for project in await store.tasks.projects()] == [("demo", Path("/demo"))]
        machines.projects = [Project("demo", Path("/moved")), Project("more", Path("/more"), "planning")]
        store.introduce_again()

        async def followed() -> None:
            while [(one.name, one.path) for one in await store.tasks.projects()] != [
                ("demo", Path("/moved")),
                ("more", Path("/more")),
            ]:
                pass

        await asyncio.wait_for(followed(), PATIENCE_S)


class TestLostAnswers:
    """The database did it, and the answer never came: the call is made again, and does it once."""

    def lose(self, machines: Machines, function: str) -> Cut:
        return machines.stack.faults.add(Cut(pattern=f"/{function}$", executed=True, times=1))

    async def test_a_task_is_added_once_and_told_as_new(self, machines: Machines) -> None:
        tasks = (await machines.started()).tasks
        lost = self.lose(machines, "enqueue_task")
        added, created = await tasks.enqueue(NewTask("demo", "Mend it"))
        assert (created, lost.hits) == (True, 1)
        assert [task.task_id for task in await tasks.list(TaskQuery())] == [added.task_id]

    async def test_a_claim_brings_the_same_tasks_with_the_same_fences(self, machines: Machines) -> None:
        tasks = (await machines.started()).tasks
        for _ in range(4):
            await tasks.enqueue(NewTask("demo", "Mend it"))
        lost = self.lose(machines, "claim_tasks")
        claimed = await tasks.claim(request(count=2))
        assert lost.hits == 1
        assert [(task.fence, task.attempt) for task in claimed] == [(1, 1)] * 2
        assert (await tasks.counts())[TaskStatus.CLAIMED] == 2

    @pytest.mark.parametrize("function", ["begin_task", "mark_task", "finish_task", "renew_leases", "cancel_task"])
    async def test_a_write_is_done_once(self, machines: Machines, function: str) -> None:
        tasks = (await machines.started()).tasks
        await tasks.enqueue(NewTask("demo", "Mend it"))
        (task,) = await tasks.claim(request())
        lost = self.lose(machines, function)
        await tasks.begin(task.key, "run1")
        await tasks.mark(task.key, TaskStatus.WAITING)
        await tasks.renew("here", "here-boot", [task.key], LEASE_S)
        await tasks.cancel(task.task_id)
        answer = await tasks.finish(task.key, DONE)
        assert answer is (FinishAnswer.ALREADY if function == "finish_task" else FinishAnswer.RECORDED)
        assert lost.hits == 1
        ended = await tasks.get(task.task_id)
        assert (ended.status, ended.fence, ended.result) == (TaskStatus.SUCCEEDED, 1, DONE)

    async def test_reports_are_stored_once(self, machines: Machines) -> None:
        store = await machines.started()
        task, _ = await store.tasks.enqueue(NewTask("demo", "Mend it"))
        events = [
            StoredEvent(seq, BusEvent(EventKind.AGENT_STATE, NOW, task.task_id, "run1", {"text": f"{seq}\0"}))
            for seq in range(1, 451)
        ]
        metrics = [Metric("m1", NOW, {"agents": 1.0, "load": float("inf")})]
        lost = [self.lose(machines, "append_task_events"), self.lose(machines, "record_metrics")]
        for _ in range(2):
            await store.reports.report_events(events)
            await store.reports.report_metrics(metrics)
        assert [each.hits for each in lost] == [1, 1]
        with psycopg.connect(machines.stack.owner_url) as connection:
            kept = connection.execute("select count(*), min(at), max(kind), max(run_id) from task_events").fetchone()
            figures = connection.execute("select metric_key, at, data, system_id from system_metrics").fetchall()
        assert kept == (450, NOW, "agent.state", "run1")
        assert figures == [("m1", NOW, {"agents": 1.0, "load": None}, "here")]


class TestBeingWoken:
    async def test_realtime_wakes_at_once(self, machines: Machines) -> None:
        store = await machines.started(sweep_live_s=600.0, sweep_degraded_s=600.0)
        await eventually(lambda: store.health().state is StoreState.LIVE)
        await store.tasks.claim(request("r0"))
        while await store.tasks.wait_for_change(0.5):  # what the introduction rang for
            await store.tasks.claim(request("r0"))
        waiting = asyncio.create_task(store.tasks.wait_for_change(60))
        await asyncio.sleep(0)
        began = time.monotonic()
        machines.insert()
        assert await asyncio.wait_for(waiting, PATIENCE_S) is True
        assert time.monotonic() - began < 5
        assert len(await store.tasks.claim(request())) == 1
        assert store.health().subscriber == "live"

    async def test_without_realtime_a_look_is_due_after_a_while(self, machines: Machines) -> None:
        store = await machines.started(realtime=False, sweep_degraded_s=0.3, sweep_live_s=600.0)
        await store.tasks.claim(request("r0"))
        machines.insert()
        assert await store.tasks.wait_for_change(PATIENCE_S) is True
        assert len(await store.tasks.claim(request())) == 1
        health = store.health()
        assert (health.state, health.subscriber) == (StoreState.DEGRADED, "off")
        assert health.last_sweep_at is not None and health.schema_newest == health.schema_expected != ""


class TestTrouble:
    async def test_the_network_is_away_at_the_start_and_comes(self, machines: Machines) -> None:
        with machines.stack.proxy() as proxy:
            proxy.refuse()
            store = machines.made(url=proxy.url)
            began = time.monotonic()
            await store.start(0.2)
            assert time.monotonic() - began < 2
            with pytest.raises(StoreUnavailable):
                await store.tasks.counts()
            proxy.heal()
            await eventually(lambda: store.health().state is StoreState.LIVE)
            assert (await store.tasks.counts())[TaskStatus.QUEUED] == 0
            await store.stop()

    async def test_a_stop_while_the_server_is_silent_takes_no_time(self, machines: Machines) -> None:
        with machines.stack.proxy() as proxy:
            store = machines.made(url=proxy.url)
            await store.start(PATIENCE_S)
            proxy.black_hole()
            call = asyncio.create_task(store.tasks.counts())
            await asyncio.sleep(0)
            began = time.monotonic()
            await store.stop()
            assert time.monotonic() - began < 8
            with pytest.raises(StoreUnavailable):
                await call

    async def test_a_database_of_a_newer_release_is_left_alone(self, machines: Machines) -> None:
        newest = [*shipped_migrations()][:-1]
        store = machines.made(migrations=tuple(newest))
        await store.start(PATIENCE_S)
        with pytest.raises(SchemaTooNew, match="upgrade ccm-orchestrator"):
            await store.tasks.claim(request())
        assert store.health().state is StoreState.REFUSED

    async def test_a_lease_of_another_machine_is_fenced(self, machines: Machines) -> None:
        here, there = await machines.started(), await machines.started("there")
        await here.tasks.enqueue(NewTask("demo", "Mend it"))
        (task,) = await here.tasks.claim(request())
        answers = await there.tasks.renew("there", "there-boot", [task.key, LeaseKey("no-such", 1)], LEASE_S)
        assert set(answers.values()) == {LeaseAnswer.FENCED}
