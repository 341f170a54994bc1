"""Whatever is sent, and to whichever route: never an error of ours, and every refusal is a problem document."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from ccm_orchestrator.adapters.sqlite.audit import SqliteAuditLog
from ccm_orchestrator.adapters.sqlite.events import SqliteEventStore
from ccm_orchestrator.adapters.sqlite.journal import SqliteJournal
from ccm_orchestrator.adapters.sqlite.tasks import SqliteTaskStore
from ccm_orchestrator.api.app import bare_app
from ccm_orchestrator.api.guards import GuardedRoute
from ccm_orchestrator.api.problems import MEDIA_TYPE
from tests.api_house import House
from tests.security.garbage import TASK, TOKENS, Answer, Asked, answer, requests
from tests.stores import opened

ROUTES = [route for route in bare_app().routes if isinstance(route, GuardedRoute)]
EXAMPLES = 25


@dataclass
class Desk:
    """An API on a real database, and the loop it lives in."""

    runner: asyncio.Runner
    house: House

    task_id: str

    def ask(self, asked: Asked) -> Answer:
        real = replace(asked, path=asked.path.replace(TASK, self.task_id))
        return self.runner.run(answer(self.house.app, real))


@contextmanager
def desk(directory: Path) -> Iterator[Desk]:
    stack = AsyncExitStack()

    async def furnish() -> tuple[House, str]:
        house = House()
        database = await opened(stack, directory / "ccm.db")
        house.store = SqliteTaskStore(database, house.clock, 10_000)  # type: ignore[assignment]
        house.journal = SqliteJournal(database, house.clock)  # type: ignore[assignment]
        house.events = SqliteEventStore(database)  # type: ignore[assignment]
        house.audit = SqliteAuditLog(database)  # type: ignore[assignment]
        house.restart()
        await house.prepare()
        run = await house.agent()
        house.app.state.services.stopping.set()  # streams end at once, and what is held is let go
        return house, run.task_id

    with asyncio.Runner() as runner:
        try:
            yield Desk(runner, *runner.run(furnish()))
        finally:
            runner.run(stack.aclose())


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk(tmp_path_factory.mktemp("desk")) as made:
        yield made


def test_every_route_is_tried() -> None:
    assert len(ROUTES) >= 25


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{'-'.join(sorted(route.methods))} {route.path}")
def test_no_route_fails_over_what_it_is_sent(furnished: Desk, route: GuardedRoute) -> None:
    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck), derandomize=True
    )
    @given(requests(route, TOKENS[route.guard]))
    def sent(asked: Asked) -> None:
        got = furnished.ask(asked)
        note(f"{asked} -> {got}")
        assert got.status < 500
        assert got.status != 401, "the token was right: else nothing was tried"
        if got.status >= 400:
            assert got.headers["content-type"] == MEDIA_TYPE, got

    sent()


@settings(max_examples=100, deadline=None, database=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "BREW", "get"]),
    path=st.text(max_size=60),
)
def test_no_path_fails_whatever_it_is(furnished: Desk, method: str, path: str) -> None:
    host = (b"host", b"127.0.0.1:8765")
    got = furnished.ask(Asked(method, f"/{path}", b"", (host,), b""))
    assert got.status < 500
