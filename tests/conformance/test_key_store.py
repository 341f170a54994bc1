"""What every store of API keys keeps."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from ccm_orchestrator.adapters.sqlite.keys import SqliteKeyStore
from ccm_orchestrator.domain.caller import Scope
from ccm_orchestrator.domain.keys import ApiKey
from ccm_orchestrator.errors import KeyNotFound, WrongStatus
from ccm_orchestrator.fakes.clock import START
from ccm_orchestrator.fakes.memory_keys import MemoryKeyStore
from ccm_orchestrator.ports.keys import KeyStore
from tests.stores import opened

SCOPES = frozenset({Scope.READ, Scope.SUBMIT})
KEY = ApiKey("1" * 32, "build server", "ccm_aaaaaaaa", SCOPES, "anna", START, "local", START + timedelta(days=9))
OTHER = ApiKey("2" * 32, "desk", "ccm_bbbbbbbb", frozenset({Scope.ADMIN}), None, START, "local")


@pytest.fixture(params=["memory", "sqlite"])
async def keys(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[KeyStore]:
    async with AsyncExitStack() as stack:
        if request.param == "memory":
            yield MemoryKeyStore()
        else:
            yield SqliteKeyStore(await opened(stack, tmp_path / "ccm.db"))


async def test_a_key_is_found_by_what_it_hashes_to_and_comes_back_whole(keys: KeyStore) -> None:
    await keys.add(KEY, "d1")
    await keys.add(OTHER, "d2")
    assert await keys.by_digest("d1") == KEY
    assert await keys.by_digest("d2") == OTHER
    assert await keys.by_digest("d3") is None
    assert list(await keys.keys()) == [OTHER, KEY]


async def test_people_name_a_key_by_id_prefix_or_name(keys: KeyStore) -> None:
    await keys.add(KEY, "d1")
    for ref in (KEY.key_id, KEY.prefix, KEY.name):
        assert await keys.find(ref, START) == KEY
    for ref in ("", "ccm_", "nobody", "\ud800", "d1", "1" * 31):
        with pytest.raises(KeyNotFound):
            await keys.find(ref, START)


async def test_a_name_that_two_keys_have_is_not_enough(keys: KeyStore) -> None:
    await keys.add(KEY, "d1")
    twin = replace(OTHER, name=KEY.name)
    await keys.add(twin, "d2")
    with pytest.raises(KeyNotFound, match="More than one"):
        await keys.find(KEY.name, START)
    assert await keys.find(twin.prefix, START) == twin
    assert await keys.find(KEY.name, START + timedelta(days=10)) == twin
    await keys.revoke(twin.key_id, START)
    assert await keys.find(KEY.name, START) == KEY


async def test_a_key_is_revoked_once(keys: KeyStore) -> None:
    await keys.add(KEY, "d1")
    assert (await keys.revoke(KEY.key_id, START)).revoked_at == START
    assert (await keys.revoke(KEY.key_id, START + timedelta(days=1))).revoked_at == START
    found = await keys.by_digest("d1")
    assert found is not None and not found.works(START)
    with pytest.raises(KeyNotFound):
        await keys.revoke("nobody", START)


async def test_its_use_is_remembered(keys: KeyStore) -> None:
    await keys.add(KEY, "d1")
    await keys.used(KEY.key_id, START + timedelta(hours=1))
    assert (await keys.find(KEY.key_id, START)).last_used_at == START + timedelta(hours=1)


@pytest.mark.parametrize(("key", "until_h"), [(KEY, 1), (OTHER, 1), (replace(KEY, expires_at=START), 0)])
async def test_a_replaced_key_works_until_its_time_and_no_longer_than_before(
    keys: KeyStore, key: ApiKey, until_h: int
) -> None:
    new = replace(key, key_id="3" * 32, prefix="ccm_cccccccc")
    await keys.add(key, "d1")
    old = await keys.replace(key.key_id, new, "d3", START + timedelta(hours=1))
    assert old == replace(key, expires_at=START + timedelta(hours=until_h))
    assert await keys.by_digest("d1") == old and await keys.by_digest("d3") == new


async def test_a_revoked_key_is_not_replaced(keys: KeyStore) -> None:
    await keys.add(KEY, "d1")
    await keys.revoke(KEY.key_id, START)
    with pytest.raises(WrongStatus):
        await keys.replace(KEY.key_id, OTHER, "d2", START)
    assert await keys.by_digest("d2") is None
