"""Counters from the event log."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Generic, TypeVar

from ccm_orchestrator.domain.events import BusEvent, EventKind
from ccm_orchestrator.domain.result import FailureKind
from ccm_orchestrator.domain.task import HoldReason
from ccm_orchestrator.telemetry.metrics import Metrics

T = TypeVar("T")
MOST_REMEMBERED = 10_000
MOST_MODELS = 30
OTHER = "other"
DEFAULT_MODEL = "default"
_REASONS = frozenset(FailureKind) | frozenset(HoldReason)
_ENDED = {
    EventKind.TASK_SUCCEEDED: "succeeded",
    EventKind.TASK_FAILED: "failed",
    EventKind.TASK_CANCELLED: "cancelled",
    EventKind.TASK_QUEUED: "queued",
    EventKind.TASK_HELD: "held",
    EventKind.TASK_FENCED: "fenced",
}
TOKENS = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cache_read": "cache_read_tokens",
    "cache_creation": "cache_creation_tokens",
}


class Counting:
    """Labels are words of our own, or names of models, of which there are few: never an id, never a text."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._claimed = _Memory[datetime]()
        self._asked = _Memory[datetime]()
        self._models = _Memory[str]()
        self._known_models: set[str] = set()
        self._acts: Mapping[EventKind, Callable[[BusEvent], None]] = {
            EventKind.TASK_CLAIMED: self._on_claimed,
            EventKind.TASK_RUNNING: self._on_running,
            EventKind.SESSION_START: self._on_session,
            EventKind.PERMISSION_REQUESTED: self._on_asked,
            EventKind.PERMISSION_DECIDED: self._on_answered,
            EventKind.AGENT_ADOPTED: lambda event: metrics.adopted.labels(str(event.data.get("decision"))).inc(),
            EventKind.DAEMON_INCIDENT: lambda _event: metrics.incidents.inc(),
            **dict.fromkeys(_ENDED, self._on_ended),
        }

        self._begin_at_nothing()

    def _begin_at_nothing(self) -> None:
        """A series that begins with 1 has not risen for Prometheus, and its first failure would go unseen."""
        for kind in FailureKind:
            for outcome in ("failed", "queued"):
                self._metrics.runs_ended.labels(outcome, kind.value)
            self._metrics.retries.labels(kind.value)
        for outcome in ("succeeded", "cancelled", "fenced"):
            self._metrics.runs_ended.labels(outcome, "")

    def count(self, event: BusEvent) -> None:
        act = self._acts.get(event.kind)
        if act is not None:
            act(event)

    def _on_claimed(self, event: BusEvent) -> None:
        self._metrics.claims.inc()
        self._claimed.keep(event.run_id, event.at)

    def _on_running(self, event: BusEvent) -> None:
        claimed_at = self._claimed.take(event.run_id)
        if claimed_at is not None:
            self._metrics.spawn_s.observe(max(0.0, (event.at - claimed_at).total_seconds()))

    def _on_session(self, event: BusEvent) -> None:
        model = event.data.get("model")
        if isinstance(model, str) and model:
            self._models.keep(event.run_id, model)

    def _on_asked(self, event: BusEvent) -> None:
        self._asked.keep(_text(event, "request_id"), event.at)

    def _on_answered(self, event: BusEvent) -> None:
        asked_at = self._asked.take(_text(event, "request_id"))
        if asked_at is not None:
            waited_s = max(0.0, (event.at - asked_at).total_seconds())
            self._metrics.answer_s.labels(_text(event, "status") or OTHER).observe(waited_s)

    def _on_ended(self, event: BusEvent) -> None:
        """A task without a run was queued or cancelled by a person: no run ended."""
        if event.run_id is None:
            return
        self._claimed.take(event.run_id)
        reason = _text(event, "failure_kind") or _text(event, "hold_reason") or ""
        reason = reason if reason in _REASONS or not reason else OTHER
        self._metrics.runs_ended.labels(_ENDED[event.kind], reason).inc()
        if event.kind is EventKind.TASK_QUEUED:
            self._metrics.retries.labels(reason).inc()
        duration_s = event.data.get("duration_s")
        if isinstance(duration_s, int | float):
            self._metrics.run_s.observe(duration_s)
        self._count_usage(event)

    def _count_usage(self, event: BusEvent) -> None:
        usage = event.data.get("usage")
        if not isinstance(usage, Mapping):
            return
        model = self._model(self._models.take(event.run_id) or DEFAULT_MODEL)
        for kind, name in TOKENS.items():
            if count := usage.get(name):
                self._metrics.tokens.labels(model, kind).inc(count)
        if cost_usd := usage.get("cost_usd"):
            self._metrics.cost_usd.labels(model).inc(cost_usd)

    def _model(self, name: str) -> str:
        """A name that an agent made up must not make a series of its own without end."""
        if name not in self._known_models and len(self._known_models) >= MOST_MODELS:
            return OTHER
        self._known_models.add(name)
        return name


class _Memory(Generic[T]):
    """What is known of things that have not ended; the oldest are forgotten."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, T] = OrderedDict()

    def keep(self, key: str | None, value: T) -> None:
        if key is None:
            return
        self._kept[key] = value
        if len(self._kept) > MOST_REMEMBERED:
            self._kept.popitem(last=False)

    def take(self, key: str | None) -> T | None:
        return self._kept.pop(key, None) if key is not None else None


def _text(event: BusEvent, name: str) -> str | None:
    value = event.data.get(name)
    return value if isinstance(value, str) else None
