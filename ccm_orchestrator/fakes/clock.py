"""A clock that stands still until it is told to jump."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 1, tzinfo=UTC)


class FakeClock:
    def __init__(self, start: datetime = START) -> None:
        self._now = start
        self._uptime_s = 0.0

    def now(self) -> datetime:
        return self._now

    def uptime_s(self) -> float:
        return self._uptime_s

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)
        self._uptime_s += seconds

    def set_back(self, seconds: float) -> None:
        """Somebody sets the wall clock."""
        self._now -= timedelta(seconds=seconds)
