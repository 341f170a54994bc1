"""Traces from what is stored: parents, times and words."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ccm_orchestrator.domain.events import BusEvent, EventKind, HookRecord
from ccm_orchestrator.domain.result import Usage
from ccm_orchestrator.engine.bus import Bus
from ccm_orchestrator.errors import InvalidSettings
from ccm_orchestrator.fakes.clock import FakeClock
from ccm_orchestrator.fakes.memory_figures import MemoryFigures
from ccm_orchestrator.fakes.memory_journal import MemoryEventStore, MemoryJournal
from ccm_orchestrator.fakes.memory_tasks import MemoryTaskStore
from ccm_orchestrator.ports.figures import Spent
from ccm_orchestrator.settings import Settings
from ccm_orchestrator.telemetry.spans import Span, spans_of
from ccm_orchestrator.telemetry.tracing import exporter, prompt_ids
from ccm_orchestrator.wiring.observing import Telemetry

AT = datetime(2026, 11, 25, tzinfo=UTC)


def event(kind: EventKind, after_s: float, run_id: str | None = "run-1", **data: object) -> BusEvent:
    return BusEvent(kind, AT + timedelta(seconds=after_s), "task-1", run_id, data)


STORY = [
    event(EventKind.TASK_CREATED, 0, None, project="shop"),
    event(EventKind.TASK_CLAIMED, 1, agent="ccm-1", attempt=1),
    event(EventKind.SESSION_START, 3, session_id="s-1", model="claude-x"),
    event(EventKind.TOOL_USE_START, 4, tool_name="Bash", tool_use_id="t-1", parameters={"command": "canary"}),
    event(EventKind.TOOL_USE_START, 5, tool_name="Read", tool_use_id="t-2"),
    event(EventKind.TOOL_USE_ERROR, 6, tool_name="Read", tool_use_id="t-2", error_message="canary"),
    event(EventKind.TOOL_USE_COMPLETE, 8, tool_name="Bash", tool_use_id="t-1", result="canary"),
    event(EventKind.TOOL_USE_START, 9, tool_name="Grep", tool_use_id="never-ended"),
    event(EventKind.TASK_SUCCEEDED, 10, agent="ccm-1", usage=asdict(Usage(10, 20, cost_usd=0.5)), failure_kind=None),
]


def by_name(spans: list[Span]) -> dict[str, Span]:
    return {span.name: span for span in spans}


def seconds(span: Span) -> tuple[float, float]:
    return (span.start - AT).total_seconds(), (span.end - AT).total_seconds()


def test_a_task_holds_its_run_and_that_its_tools() -> None:
    spans = by_name(list(spans_of(STORY, STORY[-1], ["p-1"])))
    assert set(spans) == {"task", "invoke_agent", "execute_tool Bash", "execute_tool Read"}
    task, run, bash = spans["task"], spans["invoke_agent"], spans["execute_tool Bash"]
    assert task.parent_id is None and run.parent_id == task.span_id and bash.parent_id == run.span_id
    assert len({span.trace_id for span in spans.values()}) == 1
    assert (seconds(task), seconds(run), seconds(bash)) == ((0, 10), (1, 10), (4, 8))
    assert spans["execute_tool Read"].error == "tool_error" and not run.error
    told = run.attributes
    assert told["gen_ai.conversation.id"] == "s-1" and told["gen_ai.request.model"] == "claude-x"
    assert told["gen_ai.usage.output_tokens"] == 20 and told["prompt.id"] == ("p-1",)
    assert "canary" not in str(spans), "what agents do and say is in no trace"


def test_a_run_that_is_given_back_is_told_before_its_task_has_ended() -> None:
    back = event(EventKind.TASK_QUEUED, 5, agent="ccm-1", failure_kind="spawn")
    (run,) = spans_of([*STORY[:2], back], back)
    assert run.name == "invoke_agent" and run.error == "spawn"
    done = by_name(list(spans_of([*STORY[:2], back, *STORY[1:]], STORY[-1])))
    assert done["task"].span_id == run.parent_id


def test_a_task_that_a_person_retried_is_a_task_of_its_own_in_the_same_trace() -> None:
    again = [
        event(EventKind.TASK_QUEUED, 60, None, reason="retried"),
        event(EventKind.TASK_CLAIMED, 61, "run-2", agent="ccm-2", attempt=1),
        event(EventKind.TASK_FAILED, 70, "run-2", agent="ccm-2", failure_kind="agent_error"),
    ]
    first = by_name(list(spans_of(STORY, STORY[-1])))
    second = by_name(list(spans_of([*STORY, *again], again[-1])))
    assert first["task"].trace_id == second["task"].trace_id and first["task"].span_id != second["task"].span_id
    assert seconds(second["task"]) == (60, 70) and second["task"].error == "agent_error"
    assert second["invoke_agent"].parent_id == second["task"].span_id


def test_a_task_that_was_cancelled_before_it_ran_has_no_run() -> None:
    ended = event(EventKind.TASK_CANCELLED, 5, None)
    (task,) = spans_of([STORY[0], ended], ended)
    assert task.name == "task" and seconds(task) == (0, 5) and not task.error


def test_prompts_are_named_as_the_agent_names_them() -> None:
    raws = [
        b'{"prompt_id": "a"}',
        b"no json",
        b'{"prompt_id": "b"}',
        b'{"prompt_id": "a"}',
        b"[1]",
        b'{"prompt_id": 3}',
    ]
    assert prompt_ids([HookRecord(str(n), "run", "Stop", AT, raw) for n, raw in enumerate(raws)]) == ["a", "b"]


def test_a_protocol_that_nobody_speaks_is_refused() -> None:
    with pytest.raises(InvalidSettings, match="http/json"):
        exporter(None, {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"})


async def test_traces_without_their_library_are_refused_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "ccm_orchestrator.telemetry.tracing")
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    settings = Settings.model_validate({"state_directory": tmp_path, "traces": {"enabled": True}})
    clock = FakeClock()
    store = MemoryFigures(MemoryTaskStore(clock), MemoryJournal(clock), clock)
    telemetry = Telemetry(settings, {}, store, clock, lambda: "", lambda: None, Spent)
    with pytest.raises(InvalidSettings, match=r"pip install 'ccm-orchestrator\[otel\]'"):
        await telemetry.follow(Bus(MemoryEventStore()))
