"""How often the store is asked again: soon after a hitch, seldom after a refusal that only a person can mend."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from ccm_orchestrator.errors import SchemaTooOld, StoreError, StoreRefused

FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 30.0
FIRST_PAUSE_S = 2.0
LONGEST_PAUSE_S = 60.0


def backoff_s(attempt: int, chance: float) -> float:
    """Full jitter: anything up to the bound, so that many machines do not come back together. `attempt` from 0."""
    return chance * min(FIRST_DELAY_S * 2.0 ** min(attempt, 16), LONGEST_DELAY_S)


@dataclass(slots=True)
class _Pause:
    error: StoreError
    until_s: float
    length_s: float


class Pauses:
    """After a refusal the store is not asked again for a while, which doubles up to a minute: the refusal is repeated.

    A refused key or a project that does not work stops every call, a missing function its own calls. What is refused
    because of its arguments stops nothing.
    """

    def __init__(self, uptime_s: Callable[[], float], chance: Callable[[], float] = random.random) -> None:
        self._uptime_s = uptime_s
        self._chance = chance
        self._pauses: dict[str, _Pause] = {}

    def check(self, function: str) -> None:
        """Raises: StoreRefused, SchemaTooOld, as they were raised last."""
        for key in (_EVERYTHING, function):
            pause = self._pauses.get(key)
            if pause is not None and self._uptime_s() < pause.until_s:
                raise type(pause.error)(pause.error.message, **vars(pause.error))

    def refused(self, function: str, error: StoreError) -> None:
        status = getattr(error, "status", None)
        if not isinstance(error, StoreRefused | SchemaTooOld) or status in _BY_ARGUMENTS:
            return
        key = _EVERYTHING if status in _OF_THE_PROJECT else function
        known = self._pauses.get(key)
        length_s = FIRST_PAUSE_S if known is None else min(known.length_s * 2, LONGEST_PAUSE_S)
        self._pauses[key] = _Pause(error, self._uptime_s() + length_s * (0.75 + self._chance() / 4), length_s)

    def answered(self, function: str) -> None:
        self._pauses.pop(_EVERYTHING, None)
        self._pauses.pop(function, None)


_EVERYTHING = ""
_OF_THE_PROJECT = frozenset({401, 402, 540})
_BY_ARGUMENTS = frozenset({400, 403})
