"""What every store of sessions keeps."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from ccm_orchestrator.adapters.sqlite.sessions import SqliteSessionStore
from ccm_orchestrator.domain.options import RunOptions
from ccm_orchestrator.domain.session import Session, Turn
from ccm_orchestrator.errors import SessionNotFound
from ccm_orchestrator.fakes.clock import START
from ccm_orchestrator.fakes.memory_sessions import MemorySessionStore
from ccm_orchestrator.ports.sessions import SessionQuery, SessionStore
from tests.stores import opened

OPTIONS = RunOptions(
    session_id="one", print_mode=True, allowed_tools=("Read",), system_prompt="Ä", flags=("--max-turns", "3")
)
FIRST = Session("one", "reviewer", "shop", "executor", START, START, "anna", False, "sonnet", OPTIONS)
SECOND = Session("two", "writer", "blog", "brain", START, START, one_shot=True)
THIRD = replace(FIRST, session_id="three", owner=None)
LATER = START + timedelta(minutes=5)


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SessionStore]:
    async with AsyncExitStack() as stack:
        if request.param == "memory":
            yield MemorySessionStore()
        else:
            yield SqliteSessionStore(await opened(stack, tmp_path / "ccm.db"))


async def test_a_session_comes_back_whole(store: SessionStore) -> None:
    assert await store.add(FIRST) == (FIRST, True)
    assert await store.get("one") == FIRST


async def test_the_first_of_two_with_one_id_stands(store: SessionStore) -> None:
    await store.add(FIRST)
    assert await store.add(replace(FIRST, owner="mallory")) == (FIRST, False)


async def test_an_unknown_session_is_not_found(store: SessionStore) -> None:
    with pytest.raises(SessionNotFound, match="no-such"):
        await store.get("no-such")
    with pytest.raises(SessionNotFound):
        await store.add_turn("no-such", "task", START)
    with pytest.raises(SessionNotFound):
        await store.list(SessionQuery(before="no-such"))
    assert await store.turns("no-such") == []
    assert await store.last_turn("no-such") is None


async def test_sessions_are_listed_newest_first_and_page_by_page(store: SessionStore) -> None:
    for session in (FIRST, SECOND, THIRD):
        await store.add(session)
    assert await store.list(SessionQuery()) == [THIRD, FIRST]
    assert await store.list(SessionQuery(one_shot=True)) == [THIRD, SECOND, FIRST]
    assert await store.list(SessionQuery(owner="anna")) == [FIRST]
    assert await store.list(SessionQuery(one_shot=True, limit=1)) == [THIRD]
    assert await store.list(SessionQuery(one_shot=True, before="three", limit=1)) == [SECOND]


async def test_turns_are_numbered_and_are_uses_of_the_session(store: SessionStore) -> None:
    await store.add(FIRST)
    await store.add(SECOND)
    one, two = Turn("one", 1, "task-a", START), Turn("one", 2, "task-b", LATER)
    assert await store.add_turn("one", "task-a", START) == (one, True)
    assert await store.add_turn("one", "task-b", LATER) == (two, True)
    assert await store.add_turn("two", "task-c", LATER) == (Turn("two", 1, "task-c", LATER), True)
    assert await store.turns("one") == [one, two]
    assert await store.turns("one", 2) == [two]
    assert await store.turns("one", 3) == []
    assert await store.last_turn("one") == two
    used = await store.get("one")
    assert (used.last_used_at, used.turns) == (LATER, 2)


async def test_a_turn_that_is_repeated_is_the_same_turn(store: SessionStore) -> None:
    await store.add(FIRST)
    turn, _ = await store.add_turn("one", "task-a", START)
    assert await store.add_turn("one", "task-a", LATER) == (turn, False)
    assert (await store.get("one")).last_used_at == START
