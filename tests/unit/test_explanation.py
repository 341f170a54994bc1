"""Every state and every witness can be put into words, and ages into figures a person reads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ccm_orchestrator.domain.agent import AgentState, AgentView, Evidence, Signal, Source
from ccm_orchestrator.domain.explanation import assumed_view, explain
from ccm_orchestrator.domain.run import Mode, Run, RunState

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def run(state: RunState = RunState.RUNNING) -> Run:
    return Run(
        run_id="a" * 32,
        task_id="t",
        fence=1,
        attempt=1,
        term=1,
        state=state,
        project="blog",
        cwd=Path("/srv/blog"),
        profile="executor",
        driver="claude",
        mode=Mode.INTERACTIVE,
        session_id=None,
        resumed=False,
        created_at=NOW,
    )


def view(state: AgentState, source: Source = Source.HOOK, seconds: float = 0.0, background: bool = False) -> AgentView:
    seen = NOW - timedelta(seconds=seconds)
    evidence = Evidence(source, Signal.ACTIVE, seen)
    return AgentView(state, seen, evidence, seen, tools_running=frozenset({"b", "a"}), background_work=background)


@pytest.mark.parametrize("state", list(AgentState))
def test_every_state_has_its_own_sentence(state: AgentState) -> None:
    sentences = {explain(run(), view(other), NOW).sentence for other in AgentState}
    assert len(sentences) == len(AgentState)
    assert explain(run(), view(state), NOW).sentence.endswith("known from a hook of the agent (active), 0 s ago.")


@pytest.mark.parametrize("source", list(Source))
def test_every_witness_has_a_name(source: Source) -> None:
    explained = explain(run(), view(AgentState.WORKING, source), NOW)
    assert explained.evidence is not None and explained.evidence.source is source
    assert "known from " in explained.sentence


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-3, "0 s ago"), (0, "0 s ago"), (119, "119 s ago"), (120, "2 min ago"), (7199, "120 min ago"), (7200, "2 h ago")],
)
def test_ages_are_given_in_what_a_person_reads(seconds: float, words: str) -> None:
    assert explain(run(), view(AgentState.WORKING, seconds=seconds), NOW).sentence.endswith(f", {words}.")


def test_running_tools_and_background_work_are_mentioned() -> None:
    explained = explain(run(), view(AgentState.WORKING, background=True), NOW)
    assert explained.tools_running == ("a", "b")
    assert explained.sentence.startswith("It works and 2 tool call(s) are running, with work in the background;")


@pytest.mark.parametrize("state", list(RunState))
def test_a_run_that_was_never_observed_has_a_view(state: RunState) -> None:
    assumed = assumed_view(run(state))
    assert assumed.evidence is None and explain(run(state), assumed, NOW).evidence is None
