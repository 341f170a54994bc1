"""Other machines that fall silent are told of once, and never because this one was away itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ccm_orchestrator.domain.events import EventKind
from ccm_orchestrator.engine import neighbours, queues
from ccm_orchestrator.engine.neighbours import silent_systems
from ccm_orchestrator.fakes.memory_tasks import MemoryTaskStore
from ccm_orchestrator.ports.systems import SystemInfo, SystemView
from tests.unit.engine.elsewhere import AWAY, Elsewhere
from tests.unit.engine.house import SHORT_S, House, house, shorten_waits

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
STEP_S = 100
"""Less than the gap after which a machine was away."""


def system(system_id: str, silent_s: float = 0.0, connected_s: float = 3600.0) -> SystemView:
    seen = NOW - timedelta(seconds=silent_s)
    began = NOW - timedelta(seconds=connected_s)
    return SystemView(system_id, system_id.title(), "1.0", 5, (), False, seen, began, silent_s, 0)


HERE = system("here")


@pytest.mark.parametrize(
    ("systems", "expected"),
    [
        ([HERE, system("box", 301)], ["box"]),
        ([HERE, system("box", 299)], []),
        ([system("here", 301), system("box", 3000)], None),
        ([system("here", connected_s=299), system("box", 3000)], None),
        ([system("box", 3000)], None),
        ([HERE, replace(system("box", 3000), draining=True)], []),
        ([HERE, replace(system("box", 3000), draining=True, leased=1)], ["box"]),
    ],
)
def test_who_is_silent(systems: list[SystemView], expected: list[str] | None) -> None:
    found = silent_systems(systems, "here")
    assert (None if found is None else [*found]) == expected


@pytest.fixture
async def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    shorten_waits(monkeypatch)
    for module, name in ((queues, "UNAVAILABLE_PAUSE_S"), (neighbours, "LOOK_S")):
        monkeypatch.setattr(module, name, SHORT_S)
    async with house(tmp_path) as built:
        yield built


@pytest.fixture
def there(home: House) -> Elsewhere:
    store = Elsewhere(home.clock)
    home.remotes = [store.queue()]
    return store


async def told(home: House) -> list[object]:
    found = await home.events.read(0, 1000)
    return [each.event.data["system_id"] for each in found if each.event.kind is EventKind.SYSTEM_SILENT]


async def introduce(there: Elsewhere, system_id: str) -> None:
    await there.register_system(SystemInfo(system_id, system_id.title(), "1.0", 5), f"{system_id}-boot")


async def pass_time(home: House, there: Elsewhere, seconds: int) -> None:
    """In which this machine is heard of, and has looked at the others."""
    for _ in range(seconds // STEP_S):
        home.clock.advance(STEP_S)

        async def heard() -> bool:
            (own,) = [each for each in await MemoryTaskStore.systems(there) if each.system_id == "here"]
            return own.last_seen == home.clock.now()

        await home.until(heard, "a heartbeat")
    looks = there.calls.count("systems")
    await home.until(lambda: there.calls.count("systems") > looks + 1, "a look at the others")


async def test_a_silence_is_told_once_and_the_next_one_again(home: House, there: Elsewhere) -> None:
    await introduce(there, "here")
    await introduce(there, "box")
    await home.start()
    await pass_time(home, there, 300)
    assert await told(home) == []
    await pass_time(home, there, 300)
    assert await told(home) == ["box"]
    await introduce(there, "box")
    await pass_time(home, there, 200)
    assert await told(home) == ["box"]
    await pass_time(home, there, 300)
    assert await told(home) == ["box", "box"]


async def test_after_an_outage_of_the_store_nobody_is_blamed(home: House, there: Elsewhere) -> None:
    await introduce(there, "here")
    await introduce(there, "box")
    await home.start()
    there.trouble = AWAY
    home.clock.advance(3600)
    there.trouble = None
    await pass_time(home, there, 200)
    assert await told(home) == []
    await introduce(there, "box")
    await pass_time(home, there, 200)
    assert await told(home) == []
