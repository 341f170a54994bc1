"""Stores that are away just now, and runs whose daemon is gone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NoReturn

import pytest

from ccm_orchestrator.domain.run import Run
from ccm_orchestrator.errors import StoreUnavailable
from tests.unit.engine.house import House

AWAY = StoreUnavailable("The disk is full.")
Operation = Callable[..., Awaitable[object]]


def before(monkeypatch: pytest.MonkeyPatch, owner: object, operation: str, act: Callable[..., object]) -> None:
    """`act` is called with the arguments of every call of the operation, and may raise."""
    real: Operation = getattr(owner, operation)

    async def called(*args: object, **kwargs: object) -> object:
        act(*args, **kwargs)
        return await real(*args, **kwargs)

    monkeypatch.setattr(owner, operation, called)


def refuse_once(
    monkeypatch: pytest.MonkeyPatch, owner: object, operation: str, when: Callable[..., bool] = lambda *_: True
) -> list[str]:
    """The first fitting call finds the store away. The list tells that it came."""
    refused: list[str] = []

    def act(*args: object) -> None:
        if not refused and when(*args):
            refused.append(operation)
            raise AWAY

    before(monkeypatch, owner, operation, act)
    return refused


async def working(home: House, **fields: object) -> Run:
    run = await home.running(**fields)  # type: ignore[arg-type]
    home.says(run, "prompt_accepted")
    await home.until_state(run, "working")
    return await home.run_of(run.task_id)


async def left_working(home: House, **fields: object) -> Run:
    """A run whose daemon is gone, long enough after its start."""
    daemon = await home.start()
    run = await working(home, **fields)
    home.clock.advance(59)
    await home.settled()
    await daemon.vanish()
    home.clock.advance(1)
    return run


def away(*_: object) -> NoReturn:
    raise AWAY
