"""Leases of this system: renewed in one call, trusted for less long than they last."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Iterable

from ccm_orchestrator.domain.task import LeaseKey
from ccm_orchestrator.engine.heartbeats import Beat, no_beat
from ccm_orchestrator.engine.parts import Parts
from ccm_orchestrator.engine.queues import Queue
from ccm_orchestrator.errors import StoreError, TaskNotFound
from ccm_orchestrator.ports.tasks import LeaseAnswer

log = logging.getLogger(__name__)

RETRY_S = 2.0
ALL = 100_000


class Leases:
    """Of one store. Knows until when each claim may be acted upon, on a clock that counts suspend."""

    def __init__(self, parts: Parts, queue: Queue, keys: Callable[[], Iterable[LeaseKey]]) -> None:
        self.queue = queue
        self.deed_noted = asyncio.Event()
        """Set when the outbox got something to tell this store."""
        self._parts = parts
        self._keys = keys
        self._trusted_until: dict[LeaseKey, float] = {}
        self._renewed_at_s = -math.inf

    def grant(self, key: LeaseKey, asked_at_s: float) -> None:
        """A claim or renewal was granted; `asked_at_s` is `Clock.uptime_s()` taken before the request was sent."""
        limits = self._parts.limits
        self._trusted_until[key] = asked_at_s + limits.lease_s - limits.lease_margin_s

    def forget(self, key: LeaseKey) -> None:
        self._trusted_until.pop(key, None)

    def trusted(self, key: LeaseKey) -> bool:
        """Starting and finishing are allowed only while this holds."""
        return self._parts.clock.uptime_s() < self._trusted_until.get(key, 0.0)

    async def renew(self, fresh_s: float = 0.0, beat: Beat = no_beat) -> dict[str, LeaseAnswer]:
        """One call for all runs and for all that is still to be told; none when the last one was made within `fresh_s`.
        `beat` is called between calls.

        Raises: StoreUnavailable, and of a store that is somewhere else StoreRefused and its kin.
        """
        parts, store = self._parts, self.queue.store
        asked_at_s = parts.clock.uptime_s()
        if asked_at_s < self._renewed_at_s + fresh_s:
            return {}
        keys = await self._held()
        if not keys and asked_at_s < self._renewed_at_s + parts.limits.renew_interval_s:
            return {}  # a sign of life is not due yet, and there is no run that anybody could want something of
        answers = await self._adopt([key for key in keys if key not in self._trusted_until], beat)
        keys = [key for key in keys if key.task_id not in answers]
        asked_at_s = parts.clock.uptime_s()
        answers |= await store.renew(parts.system_id, parts.boot_id, keys, parts.limits.lease_s)
        self._renewed_at_s = asked_at_s
        for key in keys:
            if answers.get(key.task_id) is LeaseAnswer.FENCED:
                self.forget(key)
            else:
                self.grant(key, asked_at_s)
        return answers

    async def confirm(self, key: LeaseKey, beat: Beat = no_beat) -> LeaseAnswer:
        """OK when the lease is trusted, FENCED when it is lost. Raises: as `renew`."""
        while not self.trusted(key):
            if (await self.renew(beat=beat)).get(key.task_id, LeaseAnswer.FENCED) is LeaseAnswer.FENCED:
                return LeaseAnswer.FENCED
        return LeaseAnswer.OK

    async def ensure(self, key: LeaseKey) -> LeaseAnswer:
        """As `confirm`, but waits for the store, however long it is away."""
        while True:
            try:
                return await self.confirm(key)
            except StoreError as error:
                log.warning("lease of task %s cannot be confirmed: %s", key.task_id, error.message)
                await asyncio.sleep(RETRY_S)

    async def _held(self) -> list[LeaseKey]:
        keys = list(self._keys())
        if self.queue.remote:
            keys += [deed.key for deed in await self._parts.outbox.deeds(self.queue.name, ALL)]
        return list(dict.fromkeys(keys))

    async def _adopt(self, keys: Iterable[LeaseKey], beat: Beat) -> dict[str, LeaseAnswer]:
        """Claims of an earlier start of this daemon, which the store has not confirmed for this one yet."""
        parts, answers = self._parts, {}
        for key in keys:
            beat()
            asked_at_s = parts.clock.uptime_s()
            try:
                answer = await self.queue.store.adopt(key, parts.system_id, parts.boot_id, parts.limits.lease_s)
            except TaskNotFound:
                answer = LeaseAnswer.FENCED
            answers[key.task_id] = answer
            if answer is not LeaseAnswer.FENCED:
                self.grant(key, asked_at_s)
        beat()
        return answers
