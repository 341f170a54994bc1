"""Counters from events, and who may read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.samples import Sample

from ccm_orchestrator.domain.caller import Scope
from ccm_orchestrator.domain.events import BusEvent, EventKind, HookRecord
from ccm_orchestrator.domain.result import Usage
from ccm_orchestrator.engine.bus import Bus
from ccm_orchestrator.errors import StoreError
from ccm_orchestrator.fakes.clock import FakeClock
from ccm_orchestrator.fakes.memory_figures import MemoryFigures
from ccm_orchestrator.fakes.memory_journal import MemoryEventStore, MemoryJournal
from ccm_orchestrator.fakes.memory_tasks import MemoryTaskStore
from ccm_orchestrator.ports.figures import Figures, Spent
from ccm_orchestrator.telemetry.counting import MOST_MODELS, Counting
from ccm_orchestrator.telemetry.following import Follower
from ccm_orchestrator.telemetry.metrics import Around, Metrics
from tests.api_house import House, eventually

AT = datetime(2026, 11, 25, tzinfo=UTC)
USAGE = asdict(Usage(10, 20, 30, 40, 0.5, "result"))


def metrics_in(directory: Path, trouble: str = "") -> Metrics:
    clock = FakeClock()
    store = MemoryFigures(MemoryTaskStore(clock), MemoryJournal(clock), clock)
    return Metrics(store, clock, Around("1.2.3", "desk", 4, directory, lambda: trouble, lambda: "degraded"))


@pytest.fixture
def metrics(tmp_path: Path) -> Metrics:
    return metrics_in(tmp_path)


def told(metrics: Metrics, name: str, **labels: str) -> float | None:
    value: float | None = metrics.registry.get_sample_value(name, labels)
    return value


def event(kind: EventKind, after_s: float = 0, run_id: str = "run-1", **data: object) -> BusEvent:
    return BusEvent(kind, AT + timedelta(seconds=after_s), "task-1", run_id, data)


def count(metrics: Metrics, *events: BusEvent) -> None:
    counting = Counting(metrics)
    for each in events:
        counting.count(each)


def test_a_run_is_counted_from_its_claim_to_its_outcome(metrics: Metrics) -> None:
    count(
        metrics,
        event(EventKind.TASK_CLAIMED),
        event(EventKind.TASK_RUNNING, 2),
        event(EventKind.TASK_WAITING, 3),
        event(EventKind.TASK_RUNNING, 90),
        event(EventKind.SESSION_START, 3, model="claude-x"),
        event(EventKind.TASK_SUCCEEDED, 100, duration_s=98.0, usage=USAGE, failure_kind=None),
    )
    assert told(metrics, "ccm_claims_total") == 1
    assert told(metrics, "ccm_spawn_seconds_count") == 1 and told(metrics, "ccm_spawn_seconds_sum") == 2
    assert told(metrics, "ccm_runs_ended_total", outcome="succeeded", reason="") == 1
    assert told(metrics, "ccm_tokens_total", model="claude-x", kind="cache_creation") == 40
    assert told(metrics, "ccm_cost_usd_total", model="claude-x") == 0.5


def test_a_task_that_is_given_back_is_a_retry_with_its_reason(metrics: Metrics) -> None:
    count(metrics, event(EventKind.TASK_QUEUED, failure_kind="spawn", reason="tmux is gone\nforged"))
    assert told(metrics, "ccm_retries_total", reason="spawn") == 1
    assert told(metrics, "ccm_runs_ended_total", outcome="queued", reason="spawn") == 1


def test_a_person_who_queues_or_cancels_a_task_ends_no_run(metrics: Metrics) -> None:
    count(metrics, BusEvent(EventKind.TASK_QUEUED, AT, "task-1", None, {"reason": "retried"}))
    assert sum(sample.value for sample in _samples(metrics, "ccm_runs_ended")) == 0


def test_the_first_failure_is_a_rise_from_nothing(metrics: Metrics) -> None:
    count(metrics)
    assert told(metrics, "ccm_runs_ended_total", outcome="failed", reason="spawn") == 0


def test_answers_are_timed_by_how_they_came(metrics: Metrics) -> None:
    count(
        metrics,
        event(EventKind.PERMISSION_REQUESTED, request_id="r", status="open"),
        event(EventKind.PERMISSION_DECIDED, 7, request_id="r", status="decided"),
        event(EventKind.PERMISSION_DECIDED, 9, request_id="of-an-earlier-daemon", status="decided"),
    )
    assert told(metrics, "ccm_permission_answer_seconds_sum", status="decided") == 7
    assert told(metrics, "ccm_permission_answer_seconds_count", status="decided") == 1


def test_names_that_agents_make_up_do_not_make_series_without_end(metrics: Metrics) -> None:
    events = []
    for number in range(MOST_MODELS + 20):
        run_id = f"run-{number}"
        events.append(event(EventKind.SESSION_START, run_id=run_id, model=f"model-{number}"))
        events.append(event(EventKind.TASK_FAILED, run_id=run_id, usage=USAGE, failure_kind=f"made-up-{number}"))
    count(metrics, *events)
    assert told(metrics, "ccm_cost_usd_total", model="other") == 10
    assert told(metrics, "ccm_runs_ended_total", outcome="failed", reason="other") == MOST_MODELS + 20


async def test_hooks_are_timed_once_they_are_durable(metrics: Metrics) -> None:
    clock = FakeClock()
    bus = Bus(MemoryEventStore(), metrics.hooks_recorded)
    record = HookRecord("run/1", "run", "Stop", clock.now() - timedelta(seconds=2), b"{}")
    await bus.ingest([(record, ())])
    assert told(metrics, "ccm_hook_lag_seconds_count") == 1 and told(metrics, "ccm_hook_lag_seconds_sum") == 2


async def test_a_store_that_is_away_costs_its_gauges_and_not_the_answer(tmp_path: Path) -> None:
    class Away:
        async def spent(self, since: datetime, after_seq: int) -> Spent:
            raise StoreError("The disk is full.")

        async def spent_by_project(self, since: datetime) -> dict[str, Spent]:
            raise StoreError("The disk is full.")

        async def figures(self) -> Figures:
            raise StoreError("The disk is full.")

    text = (await Metrics(Away(), FakeClock(), Around("1", "desk", 4, tmp_path, lambda: "stalled")).render()).decode()
    assert "ccm_store_up 0.0" in text and "ccm_ready 0.0" in text and "ccm_tasks" not in text


async def test_the_state_of_supabase_is_one_of_its_words(metrics: Metrics) -> None:
    text = (await metrics.render()).decode()
    assert 'ccm_supabase_state{state="degraded"} 1.0' in text and 'ccm_supabase_state{state="live"} 0.0' in text
    assert "ccm_realtime_up 0.0" in text and 'version="1.2.3"' in text


async def test_what_an_earlier_daemon_published_is_not_counted_again() -> None:
    bus, heard = Bus(MemoryEventStore()), list[BusEvent]()
    await bus.publish(event(EventKind.TASK_CREATED))
    follower = Follower(bus, [heard.append])
    await follower.start()
    await bus.publish(event(EventKind.TASK_CLAIMED))

    async def something() -> bool:
        return bool(heard)

    await eventually(something, "an event")
    await bus.publish(event(EventKind.DAEMON_STOPPED))
    await follower.stop()
    assert [each.kind for each in heard] == [EventKind.TASK_CLAIMED, EventKind.DAEMON_STOPPED]


@pytest.fixture
async def house(metrics: Metrics) -> House:
    house = House()
    house.metrics = metrics
    house.restart()
    await house.prepare()
    return house


async def test_attack_9_metrics_want_a_credential_that_sees_the_whole_machine(house: House) -> None:
    async with house.client(None) as api:
        assert (await api.get("/metrics")).status_code == 401
    async with house.client() as api:
        for owner, status in ((None, 200), ("somebody", 403)):
            body: Mapping[str, object] = {"name": f"prometheus-{owner}", "scopes": [Scope.READ], "owner": owner}
            key = (await api.post("/api/keys", json=body)).json()["key"]
            async with house.client(key) as prometheus:
                answer = await prometheus.get("/metrics")
                assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


async def test_requests_are_counted_by_the_template_of_their_route(house: House, metrics: Metrics) -> None:
    async with house.client() as api:
        for task_id in ("aaaa", "bbbb"):
            await api.get(f"/api/tasks/{task_id}")
        await api.get("/no/such/thing")
        await api.request("BREW", "/coffee")
        text = (await api.get("/metrics")).text
    assert 'ccm_http_requests_total{method="GET",route="/api/tasks/{task_id}",status="404"} 2.0' in text
    assert 'ccm_http_requests_total{method="none",route="none",status="404"} 2.0' in text
    assert "aaaa" not in text and "coffee" not in text


def _samples(metrics: Metrics, name: str) -> list[Sample]:
    return [sample for family in metrics.registry.collect() if family.name == name for sample in family.samples]
