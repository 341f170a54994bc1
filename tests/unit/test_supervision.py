"""Decisions about runs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccm_orchestrator.domain.agent import AgentState, Evidence, Signal, Source
from ccm_orchestrator.domain.profiles import Profile
from ccm_orchestrator.domain.result import Failure, FailureKind
from ccm_orchestrator.domain.supervision import (
    NUDGE_GRACE_S,
    PROMPT_GRACE_S,
    Adoption,
    NextStep,
    RetryPolicy,
    Stall,
    after_failure,
    backoff_s,
    reconcile,
    stall,
)
from ccm_orchestrator.domain.task import HoldReason, Task, TaskStatus
from ccm_orchestrator.domain.transitions import first_view, next_state

NOW = datetime(2026, 1, 1, tzinfo=UTC)
POLICY = RetryPolicy(jitter=0.0)


def task(attempt: int = 1, max_attempts: int = 2, infra_attempt: int = 0) -> Task:
    return Task(
        task_id="t1",
        project="demo",
        prompt="do it",
        profile="executor",
        status=TaskStatus.RUNNING,
        priority=0,
        created_at=NOW,
        updated_at=NOW,
        run_after=None,
        after=(),
        dedup_key=None,
        max_attempts=max_attempts,
        attempt=attempt,
        infra_attempt=infra_attempt,
        time_limit_s=None,
        budget_usd=None,
        model=None,
        tags=(),
        system_id=None,
        source="test",
        fence=1,
        lease=None,
        run_id=None,
        hold=None,
        cancel_requested_at=None,
        result=None,
    )


def after(kind: FailureKind, of: Task, resets_at: float | None = None):  # type: ignore[no-untyped-def]
    return after_failure(of, Failure(kind, "because", resets_at), POLICY, NOW, 0.5)


def test_an_agent_failure_is_retried_while_attempts_are_left() -> None:
    decided = after(FailureKind.AGENT_ERROR, task(attempt=1, max_attempts=2))
    assert decided.step is NextStep.RETRY
    assert decided.run_after == NOW + timedelta(seconds=POLICY.agent_base_s)
    assert after(FailureKind.AGENT_ERROR, task(attempt=2, max_attempts=2)).step is NextStep.FAIL


def test_a_failure_of_the_machine_has_its_own_count_and_backoff() -> None:
    decided = after(FailureKind.SPAWN, task(attempt=2, max_attempts=2, infra_attempt=2))
    assert decided.step is NextStep.RETRY_INFRASTRUCTURE
    assert decided.run_after == NOW + timedelta(seconds=120)


def test_a_machine_that_fails_five_times_in_a_row_makes_the_task_wait_for_a_person() -> None:
    decided = after(FailureKind.LOST, task(infra_attempt=4))
    assert decided.step is NextStep.HOLD
    assert decided.hold is not None and decided.hold.reason is HoldReason.ATTEMPTS_EXHAUSTED
    assert "because" in decided.hold.detail


def test_a_usage_limit_holds_until_the_reset_time_the_agent_named() -> None:
    decided = after(FailureKind.USAGE_LIMIT, task(), resets_at=NOW.timestamp() + 3600)
    assert decided.hold is not None and decided.hold.reason is HoldReason.USAGE_LIMIT
    assert decided.hold.until == NOW + timedelta(hours=1)


@pytest.mark.parametrize("kind", [FailureKind.SETUP, FailureKind.AUTHENTICATION, FailureKind.BILLING])
def test_what_only_a_person_can_mend_is_held_and_tried_again_later(kind: FailureKind) -> None:
    decided = after(kind, task(attempt=2, max_attempts=2))
    assert decided.hold is not None and decided.hold.reason is HoldReason.SETUP
    assert decided.hold.until is not None and decided.hold.until > NOW


def test_a_model_that_does_not_exist_is_not_tried_twice() -> None:
    assert after(FailureKind.MODEL_NOT_FOUND, task(attempt=1, max_attempts=5)).step is NextStep.FAIL


@given(st.sampled_from(list(FailureKind)), st.integers(1, 5), st.integers(0, 9), st.floats(0, 0.999))
def test_every_failure_leads_to_a_task_that_ends_waits_for_a_time_or_for_a_person(
    kind: FailureKind, attempt: int, infra_attempt: int, chance: float
) -> None:
    decided = after_failure(task(attempt, 5, infra_attempt), Failure(kind, "x"), RetryPolicy(), NOW, chance)
    if decided.step is NextStep.HOLD:
        assert decided.hold is not None and decided.hold.detail
    elif decided.step is not NextStep.FAIL:
        assert decided.run_after is not None and decided.run_after > NOW


def test_backoff_doubles_up_to_its_cap() -> None:
    assert [backoff_s(n, 30, 900, 0, 0.5) for n in range(1, 8)] == [30, 60, 120, 240, 480, 900, 900]
    assert backoff_s(1, 30, 900, 0.2, 0.0) == 24
    assert backoff_s(1, 30, 900, 0.2, 1.0) == 36


def working(last_life_s: float = 0):  # type: ignore[no-untyped-def]
    view = next_state(first_view(NOW), Evidence(Source.HOOK, Signal.PROMPT_ACCEPTED, NOW))
    return replace(view, last_sign_of_life=NOW + timedelta(seconds=last_life_s))


PROFILE = Profile("p", inactivity_limit_s=300)


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_a_silent_agent_is_nudged_once_and_then_failed() -> None:
    assert stall(working(), PROFILE, later(299), None) is Stall.NONE
    assert stall(working(), PROFILE, later(300), None) is Stall.NUDGE
    assert stall(working(), PROFILE, later(310), later(300)) is Stall.NONE
    assert stall(working(), PROFILE, later(301 + NUDGE_GRACE_S), later(300)) is Stall.FAIL


def test_life_after_a_nudge_earns_a_new_one() -> None:
    assert stall(working(last_life_s=310), PROFILE, later(611), later(300)) is Stall.NUDGE


def test_a_tool_that_runs_for_an_hour_is_not_silence() -> None:
    view = next_state(working(), Evidence(Source.HOOK, Signal.TOOL_STARTED, NOW, data={"tool_use_id": "t"}))
    assert stall(view, PROFILE, later(3600), None) is Stall.NONE


def test_waiting_for_a_person_is_not_silence() -> None:
    view = next_state(working(), Evidence(Source.HOOK, Signal.ASKED, NOW, "permission"))
    assert stall(view, PROFILE, later(86400), None) is Stall.NONE


def test_an_agent_that_never_takes_its_prompt_fails() -> None:
    view = first_view(NOW, AgentState.INITIALIZING)
    assert stall(view, PROFILE, later(PROMPT_GRACE_S + 1), None) is Stall.FAIL


@pytest.mark.parametrize(
    ("lock", "alive", "exited", "started", "tmux", "expected"),
    [
        (True, True, False, True, True, Adoption.ADOPT),
        (True, True, False, True, False, Adoption.ADOPT),
        (True, False, True, True, True, Adoption.ADOPT),
        (False, True, False, True, True, Adoption.DETACHED),
        (False, False, True, True, True, Adoption.SETTLE),
        (False, False, True, True, False, Adoption.SETTLE),
        (False, False, False, True, True, Adoption.LOST),
        (False, False, False, False, True, Adoption.START_AGAIN),
        (False, False, False, True, False, Adoption.WAIT),
        (False, False, False, False, False, Adoption.WAIT),
    ],
)
def test_adoption_table(lock: bool, alive: bool, exited: bool, started: bool, tmux: bool, expected: Adoption) -> None:
    decided = reconcile(lock_held=lock, agent_alive=alive, exit_recorded=exited, started=started, terminal_answers=tmux)
    assert decided is expected
