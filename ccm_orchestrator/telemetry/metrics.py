"""What `/metrics` shows: counters of this process, and gauges that are read from the store when somebody asks."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector, Summary
from prometheus_client import disable_created_metrics as _count_without_birthdays
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics import MetricWrapperBase

from ccm_orchestrator.domain.agent import AgentState
from ccm_orchestrator.domain.events import HookRecord
from ccm_orchestrator.domain.incidents import IncidentKind
from ccm_orchestrator.errors import StoreError
from ccm_orchestrator.ports.figures import Figures, FigureStore, Spent
from ccm_orchestrator.ports.world import Clock

CONTENT_TYPE = CONTENT_TYPE_LATEST
SPAWN_S = (0.25, 0.5, 1, 2, 3, 5, 10, 20, 30, 60, 120)
LAG_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60)
ANSWER_S = (1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 24 * 3600)
LOOP_LAG_S = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 5)
RUN_S = (10, 30, 60, 300, 900, 1800, 3600, 2 * 3600, 4 * 3600)
_count_without_birthdays()  # type: ignore[no-untyped-call]  # they double the series, and nothing reads them
STATES = ("starting", "live", "degraded", "away", "refused")


@dataclass(frozen=True)
class Around:
    """What else is asked when somebody looks."""

    version: str
    system_id: str
    max_agents: int
    state_directory: Path
    trouble: Callable[[], str] = lambda: ""
    supabase_state: Callable[[], str | None] = lambda: None
    """One of `STATES`; None: no Supabase project is configured."""
    lines_lost: Callable[[], int] = lambda: 0
    spent: Callable[[], Spent] = Spent


class Metrics:
    """A registry of its own: what other libraries count is not shown."""

    def __init__(self, store: FigureStore, clock: Clock, around: Around) -> None:
        self._store = store
        self._clock = clock
        self._around = around
        self._figures: Figures | None = None
        self.registry = CollectorRegistry(auto_describe=True)
        made = self.registry
        build = Info("ccm_build", "The version that runs.", registry=made)
        build.info({"version": around.version, "system_id": around.system_id, "python": platform.python_version()})
        self._ready = Gauge("ccm_ready", "1 while the daemon does its work, else 0.", registry=made)
        self.claims = Counter("ccm_claims", "Tasks that were claimed.", registry=made)
        self.spawn_s = Histogram(
            "ccm_spawn_seconds", "From the claim of a task to its agent at work.", buckets=SPAWN_S, registry=made
        )
        self.runs_ended = Counter(
            "ccm_runs_ended",
            "Runs that ended, by outcome (succeeded, failed, cancelled, queued again, held, fenced) and reason.",
            ["outcome", "reason"],
            registry=made,
        )
        self.run_s = Histogram("ccm_run_seconds", "Duration of runs that ended.", buckets=RUN_S, registry=made)
        self.retries = Counter("ccm_retries", "Tasks given back for another try.", ["reason"], registry=made)
        self.hook_lag_s = Histogram(
            "ccm_hook_lag_seconds", "From a hook of an agent to its event being stored.", buckets=LAG_S, registry=made
        )
        self.tokens = Counter("ccm_tokens", "Tokens of runs that ended.", ["model", "kind"], registry=made)
        self.cost_usd = Counter("ccm_cost_usd", "Price of runs that ended, where known.", ["model"], registry=made)
        self.adopted = Counter(
            "ccm_agents_adopted", "Runs of an earlier daemon, by decision.", ["decision"], registry=made
        )
        self.incidents = Counter("ccm_incidents", "Troubles that the daemon had with itself.", registry=made)
        self.answer_s = Histogram(
            "ccm_permission_answer_seconds",
            "How long requests of agents waited until they were closed, by how.",
            ["status"],
            buckets=ANSWER_S,
            registry=made,
        )
        self.loop_lag_s = Histogram(
            "ccm_event_loop_lag_seconds", "How late the API's event loop wakes up.", buckets=LOOP_LAG_S, registry=made
        )
        self.http = Counter(
            "ccm_http_requests", "Answered requests, by route.", ["method", "route", "status"], registry=made
        )
        self.http_s = Summary("ccm_http_request_seconds", "Until an answer began.", ["method", "route"], registry=made)
        ProcessCollector(registry=made)
        made.register(_Stored(self))

    async def render(self) -> bytes:
        """In Prometheus' text format. A store that is away costs its own gauges, not the answer."""
        try:
            self._figures = await self._store.figures()
        except StoreError:
            self._figures = None
        self._ready.set(0 if self._around.trouble() else 1)
        return generate_latest(self.registry)

    def hooks_recorded(self, records: Sequence[HookRecord]) -> None:
        """Called from any thread, when they are durable."""
        now = self._clock.now()
        for record in records:
            self.hook_lag_s.observe(max(0.0, _seconds(record.at, now)))

    def request_answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """`route` is its template, never a path."""
        self.http.labels(method, route, str(status)).inc()
        self.http_s.labels(method, route).observe(seconds)

    def stored(self) -> Iterator[Metric]:
        """What is read when somebody asks; read by `render` before."""
        yield from _of_store(self._figures)
        around = self._around
        yield _gauge("ccm_agents_max", "Agents that may run at the same time.", around.max_agents)
        disk = os.statvfs(around.state_directory)
        yield _gauge("ccm_disk_free_bytes", "Free where the state is.", disk.f_bavail * disk.f_frsize)
        yield _gauge("ccm_disk_size_bytes", "Size of that file system.", disk.f_blocks * disk.f_frsize)
        yield _gauge("ccm_log_lines_lost", "Lines that could not be written to the log.", around.lines_lost())
        spent = around.spent()
        yield _gauge("ccm_day_cost_usd", "Price of today's runs that ended, where known.", spent.cost_usd)
        yield _gauge(
            "ccm_day_tokens", "Tokens of today's runs that ended, without those read from a cache.", spent.tokens
        )
        current = around.supabase_state()
        if current is not None:
            states = [((state,), float(state == current)) for state in STATES]
            yield _family("ccm_supabase_state", "1 for the state of the Supabase project.", ["state"], states)
            yield _gauge("ccm_realtime_up", "1 while new tasks are announced at once.", float(current == "live"))

    def described(self) -> list[tuple[str, str, tuple[str, ...], str]]:
        """Name, kind, labels, meaning; of this daemon's own."""
        own = {id(it): it for it in vars(self).values() if isinstance(it, MetricWrapperBase)}
        labels = {it._name: it._labelnames for it in own.values()}
        self._figures = Figures()
        found = [metric for metric in self.registry.collect() if metric.name.startswith("ccm_")]
        rows = []
        for metric in found:
            name = f"{metric.name}_total" if metric.type == "counter" else metric.name
            name = f"{name}_info" if metric.type == "info" else name
            rows.append((name, metric.type, labels.get(metric.name, LABELS.get(metric.name, ())), metric.documentation))
        return sorted(rows)


LABELS = {
    "ccm_build": ("version", "system_id", "python"),
    "ccm_tasks": ("project", "status"),
    "ccm_queue_oldest_seconds": ("project",),
    "ccm_agents": ("state",),
    "ccm_incidents_open": ("kind",),
    "ccm_outbox_outcomes": ("store",),
    "ccm_supabase_state": ("state",),
}
"""Of what is read when somebody asks."""


class _Stored:
    """prometheus-client asks it whenever somebody asks for everything."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics.stored()

    def describe(self) -> Iterable[Metric]:
        return ()


def _of_store(figures: Figures | None) -> Iterator[Metric]:
    yield _gauge("ccm_store_up", "1 while the embedded database answers.", float(figures is not None))
    if figures is None:
        return
    yield _family("ccm_tasks", "Unfinished tasks.", ["project", "status"], list(figures.tasks.items()))
    ages = [((project,), age) for project, age in figures.oldest_queued_s.items()]
    yield _family("ccm_queue_oldest_seconds", "Age of the oldest task that could be claimed.", ["project"], ages)
    states = [((state.value,), figures.agents.get(state.value, 0)) for state in AgentState]
    yield _family("ccm_agents", "Agents, by state.", ["state"], states)
    yield _gauge("ccm_permissions_waiting", "Requests of agents that nobody answered yet.", figures.permissions)
    yield _gauge("ccm_permission_oldest_seconds", "Age of the oldest of them.", figures.oldest_permission_s)
    open_now = [((kind.value,), figures.incidents.get(kind.value, 0)) for kind in IncidentKind]
    yield _family("ccm_incidents_open", "Incidents that are not over, by kind.", ["kind"], open_now)
    owed = [((store,), count) for store, count in figures.outbox.items()]
    yield _family("ccm_outbox_outcomes", "Outcomes that a store elsewhere was not told yet.", ["store"], owed)
    yield _gauge("ccm_orchestrator_term", "How often an orchestrator was started here, ever.", figures.term)


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(name, meaning, value=value)


def _family(name: str, meaning: str, labels: Sequence[str], values: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
    family = GaugeMetricFamily(name, meaning, labels=labels)
    for key, value in values:
        family.add_metric(key, value)
    return family


def _seconds(start: datetime, end: datetime) -> float:
    return (end - start).total_seconds()
