"""A duty of the daemon that ends by an error says why: its heart only says that it is still."""

from __future__ import annotations

import asyncio
import logging

import pytest

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
