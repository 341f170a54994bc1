"""What is known of the connection follows from what calls and the subscriber told."""

from datetime import UTC, datetime, timedelta

import pytest

from ccm_orchestrator.adapters.supabase.health import HealthRecorder, StoreState
from ccm_orchestrator.errors import (
    Fenced,
    OrchestratorError,
    SchemaTooNew,
    SchemaTooOld,
    StoreError,
    StoreRefused,
    StoreUnavailable,
)

START = datetime(2026, 1, 1, tzinfo=UTC)


class Told:
    """A recorder whose clock moves a second each time it is looked at."""

    def __init__(self) -> None:
        self.seconds = 0
        self.recorder = HealthRecorder(self.now)

    def now(self) -> datetime:
        self.seconds += 1
        return START + timedelta(seconds=self.seconds)

    def state(self) -> StoreState:
        return self.recorder.snapshot().state


def test_it_starts_and_is_live_when_calls_are_answered_and_hints_come() -> None:
    told = Told()
    assert told.state() is StoreState.STARTING
    told.recorder.answered()
    assert told.state() is StoreState.DEGRADED
    told.recorder.subscriber("live", True)
    assert (told.state(), told.recorder.snapshot().subscriber) == (StoreState.LIVE, "live")
    told.recorder.subscriber("connecting", False)
    assert told.state() is StoreState.DEGRADED


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (StoreUnavailable("away."), StoreState.AWAY),
        (StoreRefused("refused."), StoreState.REFUSED),
        (SchemaTooOld("old."), StoreState.REFUSED),
        (SchemaTooNew("new."), StoreState.REFUSED),
        (Fenced("superseded."), StoreState.DEGRADED),
        (StoreError("cannot be read."), StoreState.DEGRADED),
    ],
)
def test_an_error_tells_whether_there_was_an_answer(error: OrchestratorError, state: StoreState) -> None:
    told = Told()
    told.recorder.answered()
    told.recorder.failed(error)
    assert told.state() is state
    assert told.recorder.snapshot().last_error == ("" if state is StoreState.DEGRADED else error.message)
    told.recorder.answered()
    assert (told.state(), told.recorder.snapshot().last_error) == (StoreState.DEGRADED, "")


def test_a_state_keeps_the_time_at_which_it_began() -> None:
    told = Told()
    told.recorder.answered()
    began = told.recorder.snapshot().since
    told.recorder.answered()
    told.recorder.swept()
    assert told.recorder.snapshot().since == began
    assert told.recorder.snapshot().last_sweep_at != told.recorder.snapshot().last_answer_at
    told.recorder.failed(StoreUnavailable("away."))
    assert told.recorder.snapshot().since != began


@pytest.mark.parametrize(
    ("skew_s", "words"),
    [
        (0.0, None),
        (59.0, None),
        (-59.0, None),
        (90.0, "90 seconds behind the"),
        (-90.0, "90 seconds ahead of the"),
        (3600.0, "1.0 hours behind the"),
        (-86_400.0, "24.0 hours ahead of the"),
    ],
)
def test_clocks_that_differ_are_worth_a_sentence(skew_s: float, words: str | None) -> None:
    told = Told()
    told.recorder.clock_skew(skew_s)
    warnings = told.recorder.snapshot().warnings
    assert [words in warning for warning in warnings if words] == ([True] if words else [])
    assert bool(warnings) == bool(words)


def test_a_schema_of_another_version_is_not_made_good_by_answers() -> None:
    told = Told()
    told.recorder.answered()
    told.recorder.schema("0001", "0002", SchemaTooOld("It lacks 0002."))
    told.recorder.answered()
    health = told.recorder.snapshot()
    assert (health.schema_newest, health.schema_expected) == ("0001", "0002")
    assert (health.state, health.last_error) == (StoreState.REFUSED, "It lacks 0002.")
    told.recorder.schema("0002", "0002", None)
    assert told.state() is StoreState.DEGRADED


def test_a_function_that_is_missing_is_not_made_good_by_answers_of_others() -> None:
    told = Told()
    missing = SchemaTooOld("There is no claim_tasks.")
    told.recorder.failed(missing, "claim_tasks")
    told.recorder.answered("renew_leases")
    health = told.recorder.snapshot()
    assert (health.state, health.last_error) == (StoreState.REFUSED, missing.message)
    told.recorder.answered("claim_tasks")
    assert told.state() is StoreState.DEGRADED
    told.recorder.failed(missing, "claim_tasks")
    told.recorder.schema("0002", "0002", None)
    assert told.state() is StoreState.DEGRADED, "nobody may ever call it again"
