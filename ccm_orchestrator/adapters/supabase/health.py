"""What is known of the connection to Supabase: told by those who use it, read by health checks and the status page."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from ccm_orchestrator.errors import (
    OrchestratorError,
    SchemaTooNew,
    SchemaTooOld,
    StoreError,
    StoreRefused,
    StoreUnavailable,
)

NOTABLE_SKEW_S = 60.0
"""Clocks that differ by more than this are worth a sentence."""


class StoreState(StrEnum):
    STARTING = "starting"
    """Nothing was answered yet."""
    LIVE = "live"
    """Calls are answered, and Realtime tells of new tasks."""
    DEGRADED = "degraded"
    """Calls are answered; without Realtime the queue is looked at every few seconds."""
    AWAY = "away"
    """The last call was not answered. Agents go on; what they report is kept."""
    REFUSED = "refused"
    """The key, the rights, the address or the schema are wrong: a person must mend that. Agents go on."""


@dataclass(frozen=True, slots=True)
class SupabaseHealth:
    state: StoreState = StoreState.STARTING
    since: datetime | None = None
    """When `state` began."""
    last_answer_at: datetime | None = None
    last_sweep_at: datetime | None = None
    """The last look at the queue that was answered."""
    last_error: str = ""
    """The sentence of the last failure; empty once a call was answered again."""
    schema_newest: str | None = None
    """The newest migration in the database; None: not known yet."""
    schema_expected: str | None = None
    clock_skew_s: float = 0.0
    """How far the server's clock is ahead of this machine's."""
    subscriber: str = "off"
    """What the subscriber says of itself."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences about what works, but not as it should."""
        return (skew_sentence(self.clock_skew_s),) if abs(self.clock_skew_s) > NOTABLE_SKEW_S else ()


def skew_sentence(skew_s: float) -> str:
    """`skew_s`: how far the server's clock is ahead of this machine's."""
    size = f"{abs(skew_s) / 3600:.1f} hours" if abs(skew_s) >= 3600 else f"{abs(skew_s):.0f} seconds"
    side = "behind" if skew_s > 0 else "ahead of"
    return (
        f"This machine's clock is {size} {side} the Supabase server's: set it right, "
        "for example with `timedatectl set-ntp true`."
    )


class HealthRecorder:
    """Told from any thread."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._live = False
        self._failure: StoreError | None = None
        self._missing: dict[str, StoreError] = {}
        """By the function that is not there, though others answer."""
        self._schema_problem: StoreError | None = None
        self._health = SupabaseHealth(since=now())

    def snapshot(self) -> SupabaseHealth:
        with self._lock:
            return self._health

    def answered(self, function: str = "") -> None:
        """A call came back."""
        with self._lock:
            self._failure = None
            self._missing.pop(function, None)
            self._change(last_answer_at=self._now())

    def failed(self, error: OrchestratorError, function: str = "") -> None:
        """A call failed, which may mean that it was answered with a refusal of what it asked."""
        if not isinstance(error, StoreUnavailable | StoreRefused | SchemaTooOld | SchemaTooNew):
            self.answered(function)
            return
        with self._lock:
            if isinstance(error, SchemaTooOld) and function:
                self._missing[function] = error
            else:
                self._failure = error
            self._change()

    def swept(self) -> None:
        with self._lock:
            self._change(last_sweep_at=self._now())

    def subscriber(self, state: str, live: bool) -> None:
        with self._lock:
            self._live = live
            self._change(subscriber=state)

    def schema(self, newest: str | None, expected: str | None, problem: StoreError | None) -> None:
        """`problem`: why this version cannot work with it, which no other answer makes good."""
        with self._lock:
            self._schema_problem = problem
            self._missing.clear()  # who misses one will say so again
            self._change(schema_newest=newest, schema_expected=expected)

    def clock_skew(self, skew_s: float) -> None:
        with self._lock:
            self._change(clock_skew_s=skew_s)

    def _change(self, **facts: object) -> None:
        failure = self._failure or next(iter(self._missing.values()), None) or self._schema_problem
        changed = replace(self._health, last_error=failure.message if failure else "", **facts)  # type: ignore[arg-type]
        state = _state(changed, failure, self._live)
        if state is not changed.state:
            changed = replace(changed, state=state, since=self._now())
        self._health = changed


def _state(health: SupabaseHealth, failure: StoreError | None, live: bool) -> StoreState:
    if isinstance(failure, StoreRefused | SchemaTooOld | SchemaTooNew):
        return StoreState.REFUSED
    if failure is not None:
        return StoreState.AWAY
    if health.last_answer_at is None:
        return StoreState.STARTING
    return StoreState.LIVE if live else StoreState.DEGRADED
