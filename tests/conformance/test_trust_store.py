"""What every store of approvals promises."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ccm_orchestrator.adapters.sqlite.trust import SqliteTrustStore
from ccm_orchestrator.domain.trust import Risk
from ccm_orchestrator.fakes.memory_trust import MemoryTrustStore
from ccm_orchestrator.ports.trust import TrustStore
from tests.stores import opened

AT = datetime(2026, 11, 26, 4, tzinfo=UTC)
HERE, ELSEWHERE = Path("/srv/shop"), Path("/srv/other")
HOOK = Risk(".claude/settings.json", "d1", ("runs on Stop: make",))
SERVER = Risk(".mcp.json", "d2", ())


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[TrustStore]:
    async with AsyncExitStack() as stack:
        if request.param == "memory":
            yield MemoryTrustStore()
        else:
            yield SqliteTrustStore(await opened(stack, tmp_path / "ccm.db"))


async def test_what_is_approved_is_known_for_that_project_in_that_directory_alone(store: TrustStore) -> None:
    assert await store.approved("shop", HERE) == frozenset()
    await store.approve("shop", HERE, [HOOK, SERVER, HOOK], "local", AT)
    assert await store.approved("shop", HERE) == {HOOK.key, SERVER.key}
    assert await store.approved("shop", ELSEWHERE) == await store.approved("blog", HERE) == frozenset()


async def test_a_later_approval_replaces_the_earlier(store: TrustStore) -> None:
    await store.approve("shop", HERE, [HOOK], "local", AT)
    await store.approve("shop", HERE, [SERVER], "local", AT)
    assert await store.approved("shop", HERE) == {SERVER.key}
    await store.approve("shop", HERE, [], "local", AT)
    assert await store.approved("shop", HERE) == frozenset()


async def test_another_directory_under_the_same_name_starts_anew(store: TrustStore) -> None:
    await store.approve("shop", HERE, [HOOK], "local", AT)
    await store.approve("shop", ELSEWHERE, [HOOK], "local", AT)
    assert await store.approved("shop", HERE) == frozenset()
    assert await store.approved("shop", ELSEWHERE) == {HOOK.key}


async def test_a_project_is_forgotten_with_its_approvals(store: TrustStore) -> None:
    await store.approve("shop", HERE, [HOOK], "local", AT)
    await store.approve("blog", HERE, [HOOK], "local", AT)
    await store.forget("shop")
    assert await store.approved("shop", HERE) == frozenset()
    assert await store.approved("blog", HERE) == {HOOK.key}


async def test_odd_names_are_kept(store: TrustStore) -> None:
    odd = Risk("bäd 'name'\n.json", "d3", ())
    await store.approve("shöp", HERE, [odd], "local", AT)
    assert len(await store.approved("shöp", HERE)) == 1
