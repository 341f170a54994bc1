"""When a request is sent again, and when that is given up. Pure: the time, the chance and the sleep are elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

from ccm_orchestrator.client.call import Call

REFUSED_BEFORE_WORK = frozenset({429})
"""Nothing was done: anything may be sent again."""
PASSING = frozenset({502, 503, 504})
"""It may have been done, and the answer got lost."""


@dataclass(frozen=True, slots=True)
class Patience:
    tries: int = 4
    first_wait_s: float = 0.2
    """Doubled with each try: 0.2, 0.4, 0.8, each shortened by chance to between half and all of it."""
    longest_wait_s: float = 10.0
    """A daemon that asks for more (`Retry-After`) is not waited for; the error says so."""
    answer_s: float = 30.0
    """How long an answer may take."""
    absence_s: float = 120.0
    """How long a stream, or a wait for a task, goes on trying while nothing answers: a daemon may be restarted."""

    def after_failure(self, call: Call[Any], tried: int, error: httpx.RequestError, chance: float) -> float | None:
        """Seconds to wait before the next try; None: give up. `tried` counts from 1, `chance` is within 0 and 1."""
        never_sent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
        return self._pause_s(tried, chance) if never_sent or call.repeatable else None

    def after_answer(self, call: Call[Any], tried: int, answer: httpx.Response, chance: float) -> float | None:
        """None: this is the answer."""
        status = answer.status_code
        may_repeat = status in REFUSED_BEFORE_WORK or (status in PASSING and call.repeatable)
        if status in call.also or not may_repeat:
            return None
        pause_s, asked_s = self._pause_s(tried, chance), retry_after_s(answer)
        if pause_s is None or asked_s > self.longest_wait_s:
            return None
        return max(pause_s, asked_s)

    def _pause_s(self, tried: int, chance: float) -> float | None:
        if tried >= self.tries:
            return None
        return float(min(self.first_wait_s * 2 ** (tried - 1), self.longest_wait_s) * (1 + chance) / 2)


def retry_after_s(answer: httpx.Response) -> float:
    """A date, which the API never sends, counts as nothing."""
    told = answer.headers.get("Retry-After", "")
    return float(told) if told.isascii() and told.isdigit() and len(told) < 7 else 0.0
