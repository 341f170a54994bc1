"""A subscriber with its owner: what the owner is told, and how long recovery takes."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta

import pytest

from ccm_orchestrator.adapters.clock import SystemClock
from ccm_orchestrator.adapters.supabase.liveness import Pace, SubscriberState, SubscriberStatus
from ccm_orchestrator.adapters.supabase.subscriber import Subscriber
from tests.realtime import A, SocketHost, Tasks, eventually, token

QUICK = Pace(start_jitter_s=0.0, connect_s=2.0, ready_s=2.0, beat_s=0.5, answer_s=0.5, look_s=0.1)
"""Everything sooner; the times of the product are tested as numbers, and once for real."""


class JumpingClock(SystemClock):
    def __init__(self) -> None:
        self._ahead_s = 0.0

    def sleep(self, seconds: float) -> None:
        """As if the machine had slept: both clocks are ahead, and no timer has run."""
        self._ahead_s += seconds

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self._ahead_s)

    def uptime_s(self) -> float:
        return super().uptime_s() + self._ahead_s


class Owner:
    """Has a subscriber, and counts what it is told."""

    def __init__(self, url: str, pace: Pace = QUICK, system_id: str = A) -> None:
        self.hints = 0
        self.gaps = 0
        self.states: list[SubscriberState] = []
        self.tokens_asked = 0
        self.next_token: Callable[[], str | None] = lambda: token(system_id=system_id)
        self.clock = JumpingClock()
        self.trouble: Exception | None = None
        """Raised in every callback."""
        self.subscriber = Subscriber(
            url.removesuffix("/realtime/v1"),
            token("anon"),
            self._token,
            system_id,
            self._hint,
            self._gap,
            self.clock,
            on_state=self.states.append,
            pace=pace,
        )

    async def _token(self) -> str | None:
        self.tokens_asked += 1
        return self.next_token()

    def _hint(self) -> None:
        self.hints += 1
        if self.trouble is not None:
            raise self.trouble

    def _gap(self) -> None:
        self.gaps += 1
        if self.trouble is not None:
            raise self.trouble

    @property
    def state(self) -> SubscriberState:
        return self.subscriber.state

    @property
    def live(self) -> bool:
        return self.state.status is SubscriberStatus.LIVE

    async def until_live(self, generation: int = 1, deadline_s: float = 60.0) -> None:
        await eventually(lambda: self.live and self.state.generation >= generation, deadline_s)

    async def until_away(self, reason: str = "") -> None:
        """A connection ended for a reason that holds these words."""
        away = SubscriberStatus.BACKING_OFF
        await eventually(lambda: any(state.status is away and reason in state.reason for state in self.states))

    async def hears(self, tasks: Tasks, system_id: str = A) -> None:
        before = self.hints
        await tasks.add(system_id)
        await eventually(lambda: self.hints > before)

    async def recovers(self, tasks: Tasks, name: str, began: float, *, anew: bool = True) -> float:
        """In how many seconds since `began` (monotonic) it has heard of a task, `anew`: on another connection."""
        gaps, generation = self.gaps, self.state.generation + anew
        await self.until_live(generation)
        await self.hears(tasks)
        assert self.gaps > gaps or not anew
        took_s = time.monotonic() - began
        print(f"recovery after {name}: {took_s:.2f} s")
        return took_s


@pytest.fixture
async def no_loose_ends() -> AsyncIterator[None]:
    """No exception that nobody took, and at the end no task that was not there before."""
    loop, complaints = asyncio.get_running_loop(), list[str]()
    loop.set_exception_handler(lambda _, context: complaints.append(str(context)))
    tasks = asyncio.all_tasks()
    yield
    ending = asyncio.current_task()
    await eventually(lambda: asyncio.all_tasks() - {ending} <= tasks)
    gc.collect()
    await asyncio.sleep(0)
    assert complaints == []


@pytest.fixture
async def owner(no_loose_ends: None, host: SocketHost) -> AsyncIterator[Owner]:
    """Its subscriber is not started yet."""
    owner = Owner(host.url)
    yield owner
    await owner.subscriber.stop()
    await host.stop()
