"""When a connection to Realtime is given up, what is due of it before that, and when the next one begins."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.frames import Close
from websockets.http11 import Response

from ccm_orchestrator.adapters.supabase.listening import Signals, ended_by
from ccm_orchestrator.adapters.supabase.liveness import (
    FIRST_DELAY_S,
    LONGEST_DELAY_S,
    NEXT,
    RATE_LIMITS,
    Duty,
    Ended,
    Pace,
    SubscriberState,
    SubscriberStatus,
    Watch,
    backoff_s,
    next_step,
    renew_at,
    watch_after_join,
)
from ccm_orchestrator.devstack.realtime.faults import REASONS

NOW = datetime(2026, 1, 1, tzinfo=UTC)
UNIX = NOW.timestamp()
PACE = Pace()


def watch(token_life_s: float | None = 3600.0) -> Watch:
    """Joined at uptime 0."""
    return watch_after_join(PACE, 0.0, None if token_life_s is None else UNIX + token_life_s, UNIX)


@pytest.mark.parametrize("status", SubscriberStatus)
def test_a_status_can_be_left_for_those_of_the_table_only(status: SubscriberStatus) -> None:
    state = SubscriberState(status, NOW, "why", 3, NOW)
    for allowed in SubscriberStatus:
        if allowed not in NEXT[status]:
            with pytest.raises(AssertionError):
                state.become(allowed, NOW)
            continue
        later = NOW + timedelta(seconds=1)
        assert state.become(allowed, later, "because").since == later
        assert state.become(allowed, later).last_event_at == NOW
    assert NEXT[status]


def test_each_connection_has_a_generation_of_its_own() -> None:
    state = SubscriberState(SubscriberStatus.STOPPED, NOW)
    seen = []
    for status in (SubscriberStatus.CONNECTING, SubscriberStatus.JOINING, SubscriberStatus.LIVE):
        state = state.become(status, NOW)
        seen.append(state.generation)
    state = state.become(SubscriberStatus.BACKING_OFF, NOW).become(SubscriberStatus.CONNECTING, NOW)
    assert (seen, state.generation) == ([1, 1, 1], 2)


def test_a_channel_that_is_never_ready_is_given_up() -> None:
    last_look = next_step(watch(), 14.5, UNIX)
    assert (last_look.duty, last_look.wait_s) == (Duty.WAIT, 0.5)
    assert next_step(watch(), 15.0, UNIX) == (Duty.GIVE_UP, 0.0, "joined, but not subscribed to changes after 15 s")
    assert next_step(watch().ready(), 15.0, UNIX).duty is Duty.WAIT


def test_a_heartbeat_is_due_and_must_be_answered() -> None:
    live = watch().ready()
    assert next_step(live, 19.0, UNIX) == (Duty.WAIT, 1.0, "")
    assert next_step(live, 20.0, UNIX).duty is Duty.BEAT
    beaten = live.beaten(20.0)
    assert next_step(beaten, 29.0, UNIX) == (Duty.WAIT, 1.0, "")
    assert next_step(beaten, 30.0, UNIX) == (Duty.GIVE_UP, 0.0, "no heartbeat was answered for 10 s")
    assert next_step(beaten.answered(), 30.0, UNIX).duty is Duty.WAIT
    assert next_step(beaten.answered(), 40.0, UNIX).duty is Duty.BEAT


def test_a_heartbeat_before_the_last_was_answered_does_not_prolong_its_deadline() -> None:
    assert watch().beaten(20.0).beaten(25.0).answer_by == 30.0


def test_a_dead_connection_is_noticed_within_a_minute() -> None:
    assert PACE.beat_s + PACE.answer_s + PACE.close_s < 60


def test_nothing_is_waited_for_longer_than_a_look() -> None:
    assert next_step(watch().ready(), 1.0, UNIX) == (Duty.WAIT, PACE.look_s, "")


def test_after_a_sleep_of_the_machine_everything_is_due_at_once() -> None:
    asleep_s = 8 * 3600.0
    assert next_step(watch().ready().beaten(20.0), asleep_s, UNIX + asleep_s).duty is Duty.GIVE_UP
    woken = watch().ready()
    assert next_step(woken, asleep_s, UNIX + asleep_s).duty is Duty.BEAT
    assert next_step(woken.beaten(asleep_s), asleep_s, UNIX + asleep_s).duty is Duty.RENEW


def test_a_token_is_renewed_well_before_its_end() -> None:
    live = watch(3600).ready().beaten(3400.0).answered()
    assert next_step(live, 3401.0, UNIX + 3479).duty is Duty.WAIT
    assert next_step(live, 3401.0, UNIX + 3480).duty is Duty.RENEW


@given(st.floats(121, 1e7))
def test_a_token_of_more_than_two_minutes_is_renewed_a_minute_ahead(life_s: float) -> None:
    at = renew_at(PACE, UNIX + life_s, UNIX)
    assert at is not None and at <= UNIX + life_s - 60


@given(st.floats(-1e7, 120))
def test_a_token_that_seems_over_does_not_make_us_ask_without_end(life_s: float) -> None:
    at = renew_at(PACE, UNIX + life_s, UNIX)
    assert at is not None and at >= UNIX + PACE.renew_again_s


def test_without_an_end_no_token_is_renewed() -> None:
    assert watch(None).renew_at is None
    assert next_step(watch(None).ready().beaten(1e9).answered(), 1e9, UNIX * 2).duty is Duty.WAIT


def test_a_new_token_must_be_followed_by_the_word_that_changes_are_delivered() -> None:
    renewed = watch().ready().renewed(10.0, UNIX + 7200, UNIX)
    assert next_step(renewed, 20.0 - 0.1, UNIX).duty is Duty.WAIT
    assert next_step(renewed.beaten(20.0).answered(), 25.0, UNIX).duty is Duty.GIVE_UP
    assert next_step(watch().not_renewed(UNIX), 1.0, UNIX + 9).duty is Duty.WAIT
    assert next_step(watch().not_renewed(UNIX), 1.0, UNIX + 10).duty is Duty.RENEW


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_the_next_connection_comes_within_half_a_minute_for_ever(failures: int, chance: float) -> None:
    assert FIRST_DELAY_S <= backoff_s(failures, Ended("gone"), chance) <= LONGEST_DELAY_S


def test_delays_grow_and_spread() -> None:
    longest = [backoff_s(failures, Ended("gone"), 1.0) for failures in range(1, 10)]
    assert longest == pytest.approx([0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0])
    assert backoff_s(9, Ended("gone"), 0.0) == FIRST_DELAY_S


@pytest.mark.parametrize("chance", [0.0, 1.0])
def test_a_server_that_wants_to_be_left_alone_is_left_alone(chance: float) -> None:
    assert 30.0 <= backoff_s(1, Ended("too many", rate_limited=True), chance) <= 36.0


@pytest.mark.parametrize("reason", REASONS.values())
def test_the_reason_of_a_refused_join_is_found(reason: str) -> None:
    ended = ended_by(Exception(f'{{"reason": "{reason}"}}'))
    assert ended == (reason, reason.startswith(RATE_LIMITS))


@pytest.mark.parametrize(
    ("error", "ended"),
    [
        (Exception('{"message": "Token has expired", "status": "error"}'), Ended("Token has expired")),
        (Exception("[1]"), Ended("[1]")),
        (ValueError(), Ended("ValueError")),
        (ConnectionClosedError(Close(1012, ""), None), Ended("received 1012 (service restart); no close frame sent")),
        (InvalidStatus(Response(429, "", Headers())), Ended("the server refused the connection with HTTP 429", True)),
        (InvalidStatus(Response(401, "", Headers())), Ended("the server refused the connection with HTTP 401")),
    ],
)
def test_every_end_has_a_sentence(error: Exception, ended: Ended) -> None:
    assert ended_by(error) == ended


def test_signals_are_taken_once_but_an_end_stays() -> None:
    signals = Signals()
    for signal in (signals.ready, signals.event, signals.event, signals.answered):
        signal()
    signals.ended(Ended("first"))
    signals.ended(Ended("second"))
    news = signals.take()
    assert (news.ready, news.event, news.answered, news.ended) == (True, True, True, Ended("first"))
    news = signals.take()
    assert (news.ready, news.event, news.answered, news.ended) == (False, False, False, Ended("first"))
