"""This machine's clocks."""

from __future__ import annotations

import time
from datetime import UTC, datetime

_COUNTS_SUSPEND = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Linux has a clock of its own for it; macOS's monotonic clock counts suspend by itself."""


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def uptime_s(self) -> float:
        return time.clock_gettime(_COUNTS_SUSPEND)
