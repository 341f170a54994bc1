"""What evidence may do to a state: ranks, ages, and the traps that others fell into."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccm_orchestrator.domain.agent import AgentState, AgentView, Dialog, Evidence, Signal, Source
from ccm_orchestrator.domain.transitions import TRANSITIONS, first_view, mermaid, next_state

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def hook(signal: Signal, seconds: float, detail: str = "", tool: str = "", subagent: bool = False) -> Evidence:
    return Evidence(Source.HOOK, signal, at(seconds), detail, {"tool_use_id": tool} if tool else {}, subagent)


def registry(signal: Signal, seconds: float, detail: str = "") -> Evidence:
    return Evidence(Source.REGISTRY, signal, at(seconds), detail)


def screen(signal: Signal, seconds: float, detail: str = "") -> Evidence:
    return Evidence(Source.SCREEN, signal, at(seconds), detail)


def view_after(*evidence: Evidence, state: AgentState = AgentState.SPAWNING) -> AgentView:
    view = first_view(START, state)
    for item in evidence:
        view = next_state(view, item)
    return view


WORKING = (hook(Signal.SESSION_STARTED, 1), hook(Signal.PROMPT_ACCEPTED, 2))


def test_a_plain_turn_goes_from_spawning_to_complete() -> None:
    view = view_after(
        Evidence(Source.LAUNCHER, Signal.PROCESS_STARTED, at(0.9)),
        *WORKING,
        hook(Signal.TOOL_STARTED, 3, tool="t1"),
        hook(Signal.TOOL_FINISHED, 4, tool="t1"),
        hook(Signal.TURN_ENDED, 5, "All done."),
    )
    assert view.state is AgentState.COMPLETE
    assert view.since == at(5)
    assert view.evidence is not None and view.evidence.detail == "All done."


def test_an_idle_registry_read_before_the_stop_hook_does_not_hide_the_end() -> None:
    view = view_after(*WORKING, registry(Signal.IDLE, 5.01), hook(Signal.TURN_ENDED, 5.0, "ok"))
    assert view.state is AgentState.COMPLETE


def test_idle_without_a_stop_is_an_interrupted_turn_that_waits_for_a_person() -> None:
    view = view_after(*WORKING, registry(Signal.IDLE, 5))
    assert (view.state, view.dialog) == (AgentState.WAITING, None)


def test_idle_after_the_end_changes_nothing() -> None:
    view = view_after(*WORKING, hook(Signal.TURN_ENDED, 5), registry(Signal.IDLE, 6), screen(Signal.IDLE, 60))
    assert view.state is AgentState.COMPLETE


def test_a_stop_with_background_work_is_not_the_end() -> None:
    paused = view_after(*WORKING, hook(Signal.TURN_PAUSED, 5), registry(Signal.IDLE, 6))
    assert paused.state is AgentState.WORKING and paused.background_work
    woken = next_state(next_state(paused, hook(Signal.PROMPT_ACCEPTED, 9)), hook(Signal.TURN_ENDED, 10, "now"))
    assert woken.state is AgentState.COMPLETE and not woken.background_work


def test_a_dialog_is_waiting_and_its_answer_is_working() -> None:
    asked = view_after(*WORKING, hook(Signal.TOOL_STARTED, 3, tool="t1"), hook(Signal.ASKED, 3.1, "permission"))
    assert (asked.state, asked.dialog) == (AgentState.WAITING, Dialog.PERMISSION)
    answered = next_state(asked, hook(Signal.TOOL_FINISHED, 9, tool="t1"))
    assert (answered.state, answered.dialog) == (AgentState.WORKING, None)


def test_a_tool_beside_the_asked_one_does_not_close_the_dialog() -> None:
    view = view_after(
        *WORKING,
        hook(Signal.TOOL_STARTED, 3, tool="t1"),
        hook(Signal.TOOL_STARTED, 3, tool="t2"),
        hook(Signal.ASKED, 3.1, "permission"),
        hook(Signal.TOOL_FINISHED, 4, tool="t2"),
    )
    assert view.state is AgentState.WAITING


def test_a_dismissed_dialog_leaves_an_interrupted_turn() -> None:
    view = view_after(*WORKING, hook(Signal.ASKED, 3, "permission"), registry(Signal.IDLE, 8))
    assert (view.state, view.dialog) == (AgentState.WAITING, None)


def test_a_late_pre_tool_event_does_not_undo_the_dialog_it_led_to() -> None:
    view = view_after(*WORKING, hook(Signal.ASKED, 3.2, "permission"), hook(Signal.TOOL_STARTED, 3.1, tool="t1"))
    assert view.state is AgentState.WAITING
    assert view.tools_running == {"t1"}


def test_an_unknown_dialog_is_still_a_dialog() -> None:
    assert view_after(*WORKING, registry(Signal.BLOCKED, 4, "something new")).dialog is Dialog.OTHER


def test_the_screen_never_overrides_newer_better_evidence() -> None:
    view = view_after(*WORKING, hook(Signal.ASKED, 10, "permission"), screen(Signal.BUSY, 11))
    assert view.state is AgentState.WAITING


def test_the_screen_fills_a_gap_once_better_evidence_is_old() -> None:
    view = view_after(*WORKING, screen(Signal.BLOCKED, 60, "trust"))
    assert (view.state, view.dialog) == (AgentState.WAITING, Dialog.TRUST)


@pytest.mark.parametrize("signal", [Signal.BUSY, Signal.IDLE, Signal.BLOCKED, Signal.TURN_FAILED, Signal.MARKER_ERROR])
def test_the_screen_never_reopens_an_ended_turn(signal: Signal) -> None:
    view = view_after(*WORKING, hook(Signal.TURN_ENDED, 5), screen(signal, 600, "permission"))
    assert view.state is AgentState.COMPLETE


def test_the_exit_record_beats_everything_but_a_normal_end() -> None:
    exited = Evidence(Source.EXIT_RECORD, Signal.EXITED, at(6), data={"exit_code": 143})
    assert view_after(*WORKING, exited).state is AgentState.ERROR
    assert view_after(*WORKING, hook(Signal.TURN_ENDED, 5), exited).state is AgentState.COMPLETE


def test_an_exit_with_code_zero_is_an_end_only_for_agents_whose_exit_means_done() -> None:
    def exited(done: bool) -> Evidence:
        return Evidence(Source.EXIT_RECORD, Signal.EXITED, at(6), data={"exit_code": 0, "done": done})

    assert view_after(*WORKING, exited(done=True)).state is AgentState.COMPLETE
    assert view_after(*WORKING, exited(done=False)).state is AgentState.ERROR


def test_a_subagent_shows_life_but_moves_no_state() -> None:
    view = view_after(*WORKING, hook(Signal.TURN_ENDED, 5), hook(Signal.TOOL_STARTED, 6, tool="s1", subagent=True))
    assert view.state is AgentState.COMPLETE
    assert view.last_sign_of_life == at(6)
    assert not view.tools_running


def test_a_registry_that_keeps_saying_busy_is_not_a_sign_of_life() -> None:
    view = view_after(*WORKING, registry(Signal.BUSY, 2.1), registry(Signal.BUSY, 300))
    assert view.state is AgentState.WORKING
    assert view.last_sign_of_life == at(2)


def test_a_running_tool_is_remembered_until_it_ends() -> None:
    view = view_after(*WORKING, hook(Signal.TOOL_STARTED, 3, tool="t1"), registry(Signal.BUSY, 4))
    assert view.tools_running == {"t1"}
    assert next_state(view, hook(Signal.TOOL_FAILED, 5, tool="t1")).tools_running == frozenset()


def test_the_diagram_names_every_state() -> None:
    diagram = mermaid()
    assert all(state.value in diagram for state in AgentState)


_SIGNALS = st.sampled_from(list(Signal))
_SOURCES = st.sampled_from(list(Source))
_ITEMS = st.lists(st.tuples(_SOURCES, _SIGNALS, st.integers(0, 50), st.booleans()), max_size=30)


@given(_ITEMS)
def test_every_history_gives_a_state_that_the_table_allows(items: list[tuple[Source, Signal, int, bool]]) -> None:
    view = first_view(START)
    for source, signal, seconds, subagent in items:
        before = view.state
        view = next_state(view, Evidence(source, signal, at(seconds), subagent=subagent))
        if view.state is not before:
            assert not subagent
            dismissed = signal is Signal.IDLE and view.state is AgentState.WAITING
            assert dismissed or TRANSITIONS[signal].get(before) is view.state
        assert (view.dialog is None) or view.state is AgentState.WAITING


@given(_ITEMS)
def test_life_never_goes_back(items: list[tuple[Source, Signal, int, bool]]) -> None:
    view = first_view(START)
    for source, signal, seconds, subagent in items:
        after = next_state(view, Evidence(source, signal, at(seconds), subagent=subagent))
        assert after.last_sign_of_life >= view.last_sign_of_life
        view = after
