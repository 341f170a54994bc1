"""Hears of new tasks through Realtime, and comes back after whatever ends a connection.

Events are hints: nothing of what they say is used, and none is relied on to come. Each time the server says that it
delivers changes, something may have been missed before, so the owner looks at the queue (`on_gap`).
"""

from __future__ import annotations

import asyncio
import logging
import random
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import replace

from ccm_orchestrator.adapters.supabase.keys import claims_of
from ccm_orchestrator.adapters.supabase.listening import Listening, News, Signals, ended_by
from ccm_orchestrator.adapters.supabase.liveness import (
    Duty,
    Ended,
    Pace,
    SubscriberState,
    SubscriberStatus,
    Watch,
    backoff_s,
    next_step,
    watch_after_join,
)
from ccm_orchestrator.ports.world import Clock
from ccm_orchestrator.security.secrets import Secret

log = logging.getLogger(__name__)

_STOP_GRACE_S = 0.5
"""On top of the time that closing may take."""


def _nothing(_: SubscriberState) -> None: ...


class Subscriber:
    """Belongs to the event loop on which it is started. `state` may be read from any thread."""

    def __init__(
        self,
        url: str,
        api_key: str,
        token: Callable[[], Awaitable[str | None]],
        system_id: str,
        on_hint: Callable[[], None],
        on_gap: Callable[[], None],
        clock: Clock,
        *,
        on_state: Callable[[SubscriberState], None] = _nothing,
        pace: Pace | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`token`: for `set_auth`, asked for with every connection and before it ends; None: the API key must do.

        `on_hint`, `on_gap` and `on_state` are called on the event loop and must not block. `clock.now` should be the
        server's time, as far as it is known: tokens end by it.
        """
        self._url = url.rstrip("/") + "/realtime/v1"
        self._api_key = api_key
        self._token = token
        self._system_id = system_id
        self._on_hint = on_hint
        self._on_gap = on_gap
        self._on_state = on_state
        self._clock = clock
        self._pace = pace or Pace()
        self._chance = chance
        self._state = SubscriberState(SubscriberStatus.STOPPED, clock.now())
        self._task: asyncio.Task[None] | None = None
        self._said = ""

    @property
    def state(self) -> SubscriberState:
        return self._state

    async def start(self) -> None:
        """Returns at once; `state` tells how it goes."""
        if self._task is None:
            self._become(SubscriberStatus.CONNECTING)
            self._task = asyncio.create_task(self._supervise(), name="realtime-subscriber")
            self._task.add_done_callback(_report_bug)

    async def stop(self) -> None:
        """Returns when nothing of it is left, or after a little more than `Pace.close_s`."""
        task = self._task
        if task is None:
            return
        if not task.cancelling():
            task.cancel()
        await asyncio.wait([task], timeout=self._pace.close_s + _STOP_GRACE_S)
        if self._task is task:
            self._task = None
            self._become(SubscriberStatus.STOPPED)

    async def _supervise(self) -> None:
        await asyncio.sleep(self._chance() * self._pace.start_jitter_s)
        failures = 0
        while True:
            ended = await self._connection()
            await _heed_cancellation()
            failures = 1 if self._was_steady() else failures + 1
            self._become(SubscriberStatus.BACKING_OFF, ended.reason)
            await asyncio.sleep(backoff_s(failures, ended, self._chance()))
            self._become(SubscriberStatus.CONNECTING, ended.reason)

    async def _connection(self) -> Ended:
        """One, from its begin to its end, and how it ended."""
        try:
            ended = await self._listen(Signals())
        except TimeoutError as error:
            ended = Ended(str(error) or "the server did not answer in time")
        except Exception as error:  # noqa: BLE001 - the library raises anything, and the next connection may do better
            log.debug("supabase: Realtime failed\n%s", self._without_key(traceback.format_exc()))
            ended = ended_by(error)
        return ended._replace(reason=self._without_key(ended.reason))

    def _without_key(self, text: str) -> str:
        """The address of the socket, which errors may quote, holds it."""
        return text.replace(self._api_key, "API_KEY")

    async def _listen(self, signals: Signals) -> Ended:
        topic = f"tasks:{self._system_id}:{self._state.generation}"
        filters = (f"system_id=eq.{self._system_id}", "open=eq.true")
        listening = Listening(self._url, self._api_key, topic, filters, signals)
        try:
            token = await self._taken_token()
            async with asyncio.timeout(self._pace.connect_s):
                await listening.connect(token)
            self._become(SubscriberStatus.JOINING, self._state.reason)
            joined_at = self._clock.uptime_s()
            async with asyncio.timeout(self._pace.ready_s):
                await listening.join()
            watch = watch_after_join(self._pace, joined_at, _expiry(token), self._unix_s())
            return await self._watch(listening, signals, watch, token)
        finally:
            await listening.close(self._pace.close_s)

    async def _watch(self, listening: Listening, signals: Signals, watch: Watch, token: str | None) -> Ended:
        while True:
            news = signals.take()
            watch = self._heed(news, watch)
            if news.ended is not None:
                return news.ended
            step = next_step(watch, self._clock.uptime_s(), self._unix_s())
            if step.duty is Duty.GIVE_UP:
                return Ended(step.reason)
            if step.duty is Duty.WAIT:
                await signals.wait(step.wait_s)
            elif step.duty is Duty.BEAT:
                watch = watch.beaten(self._clock.uptime_s())
                async with asyncio.timeout(self._pace.answer_s):  # nobody reads on the other side: sending may block
                    await listening.beat()
            else:
                token, watch = await self._renew(listening, watch, token)

    async def _renew(self, listening: Listening, watch: Watch, token: str | None) -> tuple[str | None, Watch]:
        """Until there is another token, the old one is kept, and the server ends the channel when it is over."""
        fresh = await self._fresh_token()
        if fresh is None or fresh == token:
            return token, watch.not_renewed(self._unix_s())
        async with asyncio.timeout(self._pace.answer_s):
            await listening.renew(fresh)
        return fresh, watch.renewed(self._clock.uptime_s(), _expiry(fresh), self._unix_s())

    async def _fresh_token(self) -> str | None:
        try:
            return await self._taken_token()
        except Exception as error:  # noqa: BLE001 - whatever the owner lacks, the connection lives until its token ends
            log.info("supabase: no new token for Realtime: %s", error)
            return None

    async def _taken_token(self) -> str | None:
        try:
            async with asyncio.timeout(self._pace.connect_s):
                return await self._token()
        except TimeoutError as error:
            raise TimeoutError("no token for Realtime was to be had in time") from error

    def _heed(self, news: News, watch: Watch) -> Watch:
        if news.ready:
            watch = watch.ready()
            if self._state.status is not SubscriberStatus.LIVE:
                self._become(SubscriberStatus.LIVE)
            self._ring(self._on_gap)
        if news.event:
            self._state = replace(self._state, last_event_at=self._clock.now())
            self._ring(self._on_hint)
        return watch.answered() if news.answered else watch

    def _was_steady(self) -> bool:
        live_s = (self._clock.now() - self._state.since).total_seconds()
        return self._state.status is SubscriberStatus.LIVE and live_s >= self._pace.steady_s

    def _become(self, status: SubscriberStatus, reason: str = "") -> None:
        self._state = state = self._state.become(status, self._clock.now(), reason)
        if status is SubscriberStatus.LIVE:
            log.info("supabase: Realtime is live")
            self._said = ""
        elif status is SubscriberStatus.BACKING_OFF and reason != self._said:
            log.warning("supabase: Realtime is away, the queue is looked at more often: %s", reason)
            self._said = reason
        self._ring(lambda: self._on_state(state))

    def _ring(self, bell: Callable[[], None]) -> None:
        try:
            bell()
        except Exception:  # an error of the owner must not cost the connection
            log.exception("supabase: the owner of the subscriber failed")

    def _unix_s(self) -> float:
        return self._clock.now().timestamp()


async def _heed_cancellation() -> None:
    """Whatever closing a connection raised, it must not be taken for the end of the stop that closed it."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _report_bug(supervising: asyncio.Task[None]) -> None:
    if not supervising.cancelled() and (error := supervising.exception()) is not None:
        log.error("supabase: Realtime is no longer listened to", exc_info=error)


def _expiry(token: str | None) -> float | None:
    """Unix time."""
    claims = claims_of(Secret(token)) if token else None
    expires_at = (claims or {}).get("exp")
    return float(expires_at) if isinstance(expires_at, int | float) else None
