"""Decisions about runs: retry or give up, adopt or finish, nudge or fail. Pure: facts in, a decision out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from ccm_orchestrator.domain.agent import AgentState, AgentView
from ccm_orchestrator.domain.profiles import Profile
from ccm_orchestrator.domain.result import Failure, FailureKind
from ccm_orchestrator.domain.task import Hold, HoldReason, Task

POISON_DEATHS = 3
POISON_WINDOW_S = 60.0
USAGE_LIMIT_PAUSE_S = 1800.0
"""How long a usage limit holds a task when the agent did not say when it resets."""
SETUP_PAUSE_S = 300.0
"""How long a task waits before the machine is tried again, when nobody releases it earlier."""
NUDGE_GRACE_S = 60.0
"""How long a nudged agent has to show life, at most the inactivity limit itself."""
NUDGE_ECHO_S = 3.0
"""What an agent shows this soon after a nudge is the nudge itself coming back, and no sign of life."""
PROMPT_GRACE_S = 90.0
"""How long a started agent may take to accept its prompt."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Waits in seconds, doubling from base to cap, ± `jitter`: the machine's failures wait longer than agents'."""

    infra_base_s: float = 30.0
    infra_cap_s: float = 900.0
    infra_tries: int = 5
    agent_base_s: float = 5.0
    agent_cap_s: float = 300.0
    jitter: float = 0.2


class NextStep(StrEnum):
    RETRY = "retry"
    """The attempt counted; another follows at `run_after`."""
    RETRY_INFRASTRUCTURE = "retry_infrastructure"
    """The attempt did not count; another follows at `run_after`."""
    HOLD = "hold"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class AfterFailure:
    step: NextStep
    run_after: datetime | None = None
    hold: Hold | None = None


_HELD_FOR_SETUP = frozenset({FailureKind.SETUP, FailureKind.AUTHENTICATION, FailureKind.BILLING})
_HOPELESS = frozenset({FailureKind.MODEL_NOT_FOUND})


def after_failure(task: Task, failure: Failure, policy: RetryPolicy, now: datetime, chance: float) -> AfterFailure:
    """What becomes of a task whose attempt failed. `chance` in [0, 1) spreads the waits.

    Infrastructure failures have their own count; usage limits, missing logins and spent budgets wait for their cause
    to go away; the rest is retried while attempts are left.
    """
    if failure.kind is FailureKind.USAGE_LIMIT:
        return AfterFailure(NextStep.HOLD, hold=_usage_limit(failure, now))
    if failure.kind in _HELD_FOR_SETUP:
        until = now + timedelta(seconds=SETUP_PAUSE_S)
        return AfterFailure(NextStep.HOLD, hold=Hold(HoldReason.SETUP, failure.message, until))
    if failure.kind is FailureKind.BUDGET:
        return AfterFailure(NextStep.HOLD, hold=Hold(HoldReason.BUDGET, failure.message))
    if failure.kind.infrastructure:
        return _after_infrastructure(task, failure, policy, now, chance)
    if failure.kind in _HOPELESS or task.attempt >= task.max_attempts:
        return AfterFailure(NextStep.FAIL)
    wait_s = backoff_s(task.attempt, policy.agent_base_s, policy.agent_cap_s, policy.jitter, chance)
    return AfterFailure(NextStep.RETRY, run_after=now + timedelta(seconds=wait_s))


def _after_infrastructure(
    task: Task, failure: Failure, policy: RetryPolicy, now: datetime, chance: float
) -> AfterFailure:
    tries = task.infra_attempt + 1
    if tries >= policy.infra_tries:
        detail = f"{tries} tries in a row were lost to the machine, the last one so: {failure.message}"
        return AfterFailure(NextStep.HOLD, hold=Hold(HoldReason.ATTEMPTS_EXHAUSTED, detail))
    wait_s = backoff_s(tries, policy.infra_base_s, policy.infra_cap_s, policy.jitter, chance)
    return AfterFailure(NextStep.RETRY_INFRASTRUCTURE, run_after=now + timedelta(seconds=wait_s))


def _usage_limit(failure: Failure, now: datetime) -> Hold:
    until = now + timedelta(seconds=USAGE_LIMIT_PAUSE_S)
    if failure.resets_at is not None:
        until = max(now, datetime.fromtimestamp(failure.resets_at, UTC))
    return Hold(HoldReason.USAGE_LIMIT, failure.message, until)


def backoff_s(attempt: int, base_s: float, cap_s: float, jitter: float, chance: float) -> float:
    """`base_s` doubling with each attempt from 1 up to `cap_s`, spread by ± `jitter`.

    With base 30, cap 900 and no jitter: 30, 60, 120, 240, 480, 900, 900, …
    """
    wait_s = min(cap_s, base_s * 2.0 ** (max(1, attempt) - 1))
    return wait_s * (1 + jitter * (2 * chance - 1))


class Stall(StrEnum):
    NONE = "none"
    NUDGE = "nudge"
    FAIL = "fail"


def stall(view: AgentView, profile: Profile, now: datetime, nudged_at: datetime | None) -> Stall:
    """The inactivity rule: working, no tool running, no sign of life for the limit → nudge once, then fail.

    An agent that took its process but not its prompt for `PROMPT_GRACE_S` is as stuck as one that went silent.
    """
    if view.state in (AgentState.SPAWNING, AgentState.INITIALIZING):
        return Stall.FAIL if (now - view.since).total_seconds() > PROMPT_GRACE_S else Stall.NONE
    if view.state is not AgentState.WORKING or view.tools_running or view.background_work:
        return Stall.NONE
    if nudged_at is not None and (view.last_sign_of_life - nudged_at).total_seconds() <= NUDGE_ECHO_S:
        grace_s = max(NUDGE_ECHO_S, min(NUDGE_GRACE_S, profile.inactivity_limit_s))
        return Stall.FAIL if (now - nudged_at).total_seconds() > grace_s else Stall.NONE
    silent_s = (now - view.last_sign_of_life).total_seconds()
    return Stall.NUDGE if silent_s >= profile.inactivity_limit_s else Stall.NONE


class Adoption(StrEnum):
    """What to do with a run that an earlier daemon left open."""

    ADOPT = "adopt"
    """Its launcher lives: go on observing."""
    SETTLE = "settle"
    """It ended while nobody looked: read what it left and settle it."""
    DETACHED = "detached"
    """The agent lives without its launcher: watch it, never start another."""
    START_AGAIN = "start_again"
    """Nothing was ever started, and the ticket is revoked: an infrastructure retry."""
    LOST = "lost"
    """It was started and is gone without a record: an infrastructure retry that resumes the conversation."""
    WAIT = "wait"
    """tmux does not answer: unknown, never dead."""


def reconcile(
    *, lock_held: bool, agent_alive: bool, exit_recorded: bool, started: bool, terminal_answers: bool
) -> Adoption:
    """One row of the adoption table. `started`: the ticket was redeemed or a `run.json` exists."""
    if exit_recorded and not lock_held:
        return Adoption.SETTLE
    if lock_held:
        return Adoption.ADOPT
    if agent_alive:
        return Adoption.DETACHED
    if not terminal_answers:
        return Adoption.WAIT
    return Adoption.LOST if started else Adoption.START_AGAIN
