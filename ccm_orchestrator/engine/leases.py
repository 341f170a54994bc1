"""Leases of this system: renewed in one call, trusted for less long than they last."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Iterable

from ccm_orchestrator.domain.task import LeaseKey
from ccm_orchestrator.engine.parts import Parts
from ccm_orchestrator.errors import StoreUnavailable
from ccm_orchestrator.ports.tasks import LeaseAnswer

log = logging.getLogger(__name__)

RETRY_S = 2.0


class Leases:
    """Knows until when each claim may be acted upon, on a clock that counts suspend."""

    def __init__(self, parts: Parts, keys: Callable[[], Iterable[LeaseKey]]) -> None:
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

    async def renew(self, fresh_s: float = 0.0) -> dict[str, LeaseAnswer]:
        """One call for all runs; none when the last one was made within `fresh_s`. Raises: StoreUnavailable."""
        keys = list(self._keys())
        asked_at_s = self._parts.clock.uptime_s()
        if asked_at_s < self._renewed_at_s + fresh_s:
            return {}
        parts = self._parts
        answers = dict(await parts.store.renew(parts.system_id, parts.boot_id, keys, parts.limits.lease_s))
        self._renewed_at_s = asked_at_s
        for key in keys:
            if answers.get(key.task_id) is LeaseAnswer.FENCED:
                self.forget(key)
            else:
                self.grant(key, asked_at_s)
        return answers

    async def ensure(self, key: LeaseKey) -> LeaseAnswer:
        """Waits until the store has confirmed the lease, however long it is away; FENCED when it is lost."""
        while not self.trusted(key):
            try:
                answer = (await self.renew()).get(key.task_id, LeaseAnswer.FENCED)
            except StoreUnavailable as error:
                log.warning("lease of task %s cannot be confirmed: %s", key.task_id, error.message)
                await asyncio.sleep(RETRY_S)
                continue
            if answer is LeaseAnswer.FENCED:
                return answer
        return LeaseAnswer.OK
