"""The whole of one project: started without waiting for anybody, introduced when it can be, stopped in order."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ccm_orchestrator.adapters.supabase import store as store_module
from ccm_orchestrator.adapters.supabase.credentials import Credentials
from ccm_orchestrator.adapters.supabase.health import StoreState
from ccm_orchestrator.adapters.supabase.store import SupabaseOptions, SupabaseStore
from ccm_orchestrator.errors import SchemaTooNew, SchemaTooOld, StoreError, StoreRefused, StoreUnavailable
from ccm_orchestrator.ports.systems import SystemInfo
from ccm_orchestrator.ports.tasks import Project
from ccm_orchestrator.security.secrets import Secret
from tests.unit.supabase.answering import KEY, Answering, page, refused, replies

INFO = SystemInfo("here", "My machine", "1.2.3", 10, ("gpu",))
NOW = "2026-01-01T00:00:00+00:00"
PATIENCE_S = 10.0


@dataclass
class Hearing:
    """A subscriber that only counts."""

    started: int = 0
    stopped: int = 0

    async def start(self) -> None:
        self.started += 1

    async def stop(self) -> None:
        self.stopped += 1


@dataclass
class House:
    server: Answering
    hearing: Hearing = field(default_factory=Hearing)
    projects: list[Project] = field(default_factory=lambda: [Project("demo", Path("/demo"))])
    stores: list[SupabaseStore] = field(default_factory=list)

    def knows(self, *migrations: str) -> None:
        self.server.functions["schema_state"] = replies({"migrations": migrations, "db_now": NOW})

    async def local_projects(self) -> list[Project]:
        return self.projects

    def store(self, url: str | None = None, migrations: tuple[str, ...] = ("0001", "0002")) -> SupabaseStore:
        at = url or self.server.url
        options = SupabaseOptions(INFO, "boot-1", migrations=migrations, budget_s=0.0)
        known = Credentials(at, "here", Secret(KEY))
        made = SupabaseStore(at, known, options, self.local_projects, hearer=lambda _: self.hearing)
        self.stores.append(made)
        return made


@pytest.fixture
async def house(server: Answering, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    monkeypatch.setattr(store_module, "LONGEST_DELAY_S", 0.0)
    made = House(server)
    made.knows("0001", "0002")
    server.functions |= {
        "register_system": replies({"system_id": "here"}),
        "list_projects": replies([]),
        "add_project": replies({"name": "demo", "path": "/demo", "profile": None, "created_at": NOW}),
        "remove_project": replies(None),
        "task_counts": replies({"queued": 3}),
    }
    yield made
    for each in made.stores:
        await each.stop()


async def soon(condition: Callable[[], bool]) -> None:
    for _ in range(int(PATIENCE_S / 0.02)):
        if condition():
            return
        await asyncio.sleep(0.02)  # sleeps because the store works on another thread
    raise AssertionError("it never happened")


class TestIntroduction:
    async def test_a_start_introduces_this_machine_and_its_projects(self, house: House) -> None:
        store = house.store()
        await store.start(PATIENCE_S)
        await soon(lambda: house.hearing.started == 1)
        assert house.server.called("register_system") == [
            {
                "p_system": {
                    "system_id": "here",
                    "system_name": "My machine",
                    "boot_id": "boot-1",
                    "version": "1.2.3",
                    "max_agents": 10,
                    "labels": ["gpu"],
                }
            }
        ]
        project = {"name": "demo", "path": "/demo", "profile": None}
        assert house.server.called("add_project") == [{"p_system_id": "here", "p_project": project}]
        assert await store.tasks.counts()
        health = store.health()
        assert (health.state, health.schema_newest, health.schema_expected) == (StoreState.DEGRADED, "0002", "0002")

    async def test_what_is_announced_already_is_left_and_what_is_gone_is_removed(self, house: House) -> None:
        announced = [
            {"name": name, "path": path, "profile": None, "created_at": NOW}
            for name, path in (("demo", "/demo"), ("gone", "/gone"), ("moved", "/old"), ("used", "/used"))
        ]
        house.server.functions["list_projects"] = replies(announced)
        house.server.functions["remove_project"] = refused(409, "PT409", "In use.", details='{"error": "WrongStatus"}')
        house.projects.append(Project("moved", Path("/new")))
        store = house.store()
        await store.start(PATIENCE_S)
        await soon(lambda: house.hearing.started == 1)
        assert [call["p_project"]["path"] for call in house.server.called("add_project")] == ["/new"]
        assert {call["p_name"] for call in house.server.called("remove_project")} == {"gone", "used"}

    async def test_a_project_that_is_added_later_is_announced_when_asked_to(self, house: House) -> None:
        store = house.store()
        await store.start(PATIENCE_S)
        await soon(lambda: house.hearing.started == 1)
        house.projects.append(Project("late", Path("/late")))
        store.introduce_again()
        await soon(lambda: any(call["p_project"]["name"] == "late" for call in house.server.called("add_project")))
        assert house.hearing.started == 1

    async def test_start_and_stop_may_come_twice_and_again(self, house: House) -> None:
        store = house.store()
        await store.stop()
        for round_ in (1, 2):
            for _ in range(2):
                await store.start(PATIENCE_S)
            await soon(lambda: house.hearing.started == round_)  # noqa: B023
            assert await store.tasks.counts()
            for _ in range(2):
                await store.stop()
            assert house.hearing.stopped == round_
            with pytest.raises(StoreUnavailable):
                await store.tasks.counts()


class TestTrouble:
    async def test_a_start_waits_for_nobody_and_goes_on_behind(self, house: House, unused_tcp_port: int) -> None:
        store = house.store(f"http://127.0.0.1:{unused_tcp_port}")
        await store.start(0.05)
        with pytest.raises(StoreUnavailable, match=r"was not reached yet|cannot be reached"):
            await store.tasks.counts()
        assert house.hearing.started == 0

    @pytest.mark.parametrize(
        ("trouble", "kind", "state"),
        [
            (page(), StoreUnavailable, StoreState.AWAY),
            (refused(401, "PGRST301"), StoreRefused, StoreState.REFUSED),
            (refused(404, "PGRST202"), SchemaTooOld, StoreState.REFUSED),
            (replies({"migrations": ["0001"], "db_now": NOW}), SchemaTooOld, StoreState.REFUSED),
            (replies({"migrations": ["0001", "0002", "0003"], "db_now": NOW}), SchemaTooNew, StoreState.REFUSED),
        ],
    )
    async def test_whatever_is_in_the_way_is_told_and_its_end_is_noticed(
        self,
        house: House,
        trouble: Callable[..., object],
        kind: type[StoreError],
        state: StoreState,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setattr("ccm_orchestrator.adapters.supabase.patience.FIRST_PAUSE_S", 0.05)
        caplog.set_level(logging.INFO, "ccm_orchestrator.adapters.supabase.store")
        house.server.functions["schema_state"] = trouble  # type: ignore[assignment]
        store = house.store()
        await store.start(PATIENCE_S)
        await soon(lambda: store.health().state is state)
        with pytest.raises(kind) as caught:
            await store.tasks.counts()
        assert house.server.called("task_counts") == [] and house.hearing.started == 0
        assert store.health().last_error == caught.value.message
        house.knows("0001", "0002")
        await soon(lambda: house.hearing.started == 1)
        assert await store.tasks.counts()
        assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]

    async def test_the_sentence_names_the_migration(self, house: House) -> None:
        house.knows("0001")
        store = house.store()
        await store.start(PATIENCE_S)
        with pytest.raises(SchemaTooOld, match=r"lacks the migration 0002: run `ccm-orchestrator db migrate`"):
            await store.tasks.counts()

    async def test_a_migration_while_it_runs_is_noticed_at_the_next_introduction(self, house: House) -> None:
        store = house.store()
        await store.start(PATIENCE_S)
        await soon(lambda: house.hearing.started == 1)
        house.knows("0001", "0002", "0003")
        store.introduce_again()
        await soon(lambda: store.health().state is StoreState.REFUSED)
        with pytest.raises(SchemaTooNew, match=r"0003.*upgrade"):
            await store.tasks.counts()
        house.knows("0001", "0002")
        store.introduce_again()
        await soon(lambda: store.health().state is StoreState.DEGRADED)
        assert await store.tasks.counts()

    async def test_a_mistake_of_ours_does_not_end_the_keeping(
        self, house: House, caplog: pytest.LogCaptureFixture
    ) -> None:
        projects = house.projects
        house.projects = [None]  # type: ignore[list-item]
        store = house.store()
        await store.start(PATIENCE_S)
        await soon(lambda: "could not introduce itself" in caplog.text)
        house.projects = projects
        await soon(lambda: house.hearing.started == 1)
