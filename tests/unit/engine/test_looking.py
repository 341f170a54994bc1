"""How often a run is looked at when nothing is reported of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from ccm_orchestrator.ports.launching import WakeupKind
from tests.unit.engine.house import LIMITS, House, house, shorten_waits
from tests.unit.engine.trouble import working


@pytest.fixture
async def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    """Settled agents are looked at once in an hour."""
    shorten_waits(monkeypatch)
    async with house(tmp_path, replace(LIMITS, look_interval_s=3600.0)) as built:
        yield built


@pytest.mark.parametrize("looked_s_ago", [0, 3, 60])
async def test_an_agent_that_dies_a_little_after_its_launcher_is_not_missed(home: House, looked_s_ago: int) -> None:
    await home.start()
    run = await working(home)
    home.clock.advance(60)
    await home.settled()
    home.clock.advance(looked_s_ago)
    agent = home.agent(run)
    agent.lock_held = False  # the launcher is killed: the kernel ends the agent a moment later, and nobody reports it
    home.watch.wake(WakeupKind.EXIT, run.run_id)
    await home.settled()
    agent.agent_alive = False
    home.clock.advance(LIMITS.sweep_interval_s)
    ended = await home.until_ended(run)
    assert ended.failure_kind == "lost"


async def test_what_stands_on_the_screen_when_its_start_is_learned_is_read_again_though_it_writes_no_more(
    home: House,
) -> None:
    await home.start()
    run = await home.running()
    window = home.terminal.of_run(run.run_id)
    window.wrote_at = int(home.clock.now().timestamp()) - 10
    window.output = "marker_done finished"  # too soon after the launcher's word to be believed
    await home.settled()
    home.clock.advance(5)
    await home.until_ended(run)
