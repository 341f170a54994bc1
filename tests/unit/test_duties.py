"""A duty of the daemon that ends by an error says why: its heart only says that it is still."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from ccm_orchestrator.adapters.clock import SystemClock
from ccm_orchestrator.engine.heartbeats import Hearts
from ccm_orchestrator.wiring import upkeep
from ccm_orchestrator.wiring.upkeep import tell_of_end


async def fail() -> None:
    raise RuntimeError("a bug of the duty")


async def test_an_error_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    duty = asyncio.create_task(fail(), name="keep_up")
    duty.add_done_callback(tell_of_end)
    await asyncio.wait({duty})
    await asyncio.sleep(0)
    assert "the duty keep_up ended by an error" in caplog.text
    assert "RuntimeError: a bug of the duty" in caplog.text


async def test_an_end_in_order_is_none_of_it(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        duty = asyncio.create_task(asyncio.Event().wait(), name="keep_up")
        duty.add_done_callback(tell_of_end)  # type: ignore[arg-type]
        await asyncio.sleep(0)
        duty.cancel()
        await asyncio.wait({duty})
        await asyncio.sleep(0)
    assert "keep_up" not in caplog.text


@pytest.mark.skipif(sys.platform != "linux", reason="nobody can tell what is in use where there is no /proc")
async def test_upkeep_removes_what_killed_processes_of_the_binary_had_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, reached = tmp_path / "_MEIleft", asyncio.Event()
    (left / "ccm_orchestrator").mkdir(parents=True)
    os.utime(left, (0, 0))
    monkeypatch.setattr(sys, "_MEIPASS", str(tmp_path / "_MEIown"), raising=False)
    monkeypatch.setattr(upkeep, "UPKEEP_S", 0.0)

    class Reached:
        async def expire_permissions(self) -> None:
            reached.set()
            await asyncio.Event().wait()

    nothing: Any = None
    control: Any = Reached()
    duty = asyncio.create_task(
        upkeep.keep_up(Hearts(60.0).add("upkeep"), nothing, nothing, control, nothing, SystemClock())
    )
    await asyncio.wait_for(reached.wait(), 10)
    duty.cancel()
    assert not left.exists()
