"""Quiet hours of any zone, through every change of its clock."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ccm_orchestrator.domain.notices import Level, QuietHours
from ccm_orchestrator.domain.telling import NoticeTarget

ZONES = [
    ZoneInfo(name)
    for name in (
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
        "Africa/Casablanca",
    )
]
DAY = timedelta(days=1)
BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = QuietHours(time(22), time(7, 30), BERLIN)

times = st.times(min_value=time(0), max_value=time(23, 59)).map(lambda value: value.replace(second=0, microsecond=0))
moments = st.datetimes(datetime(2025, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC))
days = st.sets(st.integers(0, 6)).map(frozenset)


@st.composite
def quiets(draw: st.DrawFn) -> QuietHours:
    start, end = draw(times), draw(times)
    assume(start != end)
    return QuietHours(start, end, draw(st.sampled_from(ZONES)), draw(days))


def is_quiet_by_the_clock(quiet: QuietHours, now: datetime) -> bool:
    """What somebody would say who looks at a clock on the wall."""
    local = now.astimezone(quiet.zone)
    clock, today, yesterday = local.time(), local.weekday(), (local.weekday() - 1) % 7
    if quiet.start < quiet.end:
        return today in quiet.days and quiet.start <= clock < quiet.end
    return (today in quiet.days and clock >= quiet.start) or (yesterday in quiet.days and clock < quiet.end)


def clock_changes_near(quiet: QuietHours, now: datetime) -> bool:
    offsets = {(now + timedelta(hours=hours)).astimezone(quiet.zone).utcoffset() for hours in range(-50, 51, 2)}
    return len(offsets) > 1


@given(quiets(), moments)
def test_it_is_as_the_clock_on_the_wall_says(quiet: QuietHours, now: datetime) -> None:
    assume(not clock_changes_near(quiet, now))
    end = quiet.over_at(now)
    assert (end is not None) == is_quiet_by_the_clock(quiet, now)
    if end is not None:
        assert end.astimezone(quiet.zone).time() == quiet.end


@given(quiets(), moments)
def test_an_end_is_later_and_in_no_quiet_time_whatever_the_clock_does(quiet: QuietHours, now: datetime) -> None:
    end = quiet.over_at(now)
    if end is not None:
        assert now < end <= now + 2 * DAY + timedelta(hours=2)
        assert quiet.over_at(end) is None
        assert quiet.over_at(end - timedelta(microseconds=1)) == end


@given(quiets(), moments, st.sampled_from(Level), st.booleans())
def test_what_is_due_is_never_early_and_never_quiet_but_for_what_is_urgent(
    quiet: QuietHours, now: datetime, level: Level, passes: bool
) -> None:
    target = NoticeTarget("phone", "json://x", quiet=quiet, urgent_passes=passes)
    due = target.due_at(level, now)
    if passes and level is Level.URGENT:
        assert due == now
    else:
        assert due >= now and quiet.over_at(due) is None
    assert target.due_at(level, due) == due


@pytest.mark.parametrize(
    ("now", "over"),
    [
        ("2026-03-28T23:00+01:00", "2026-03-29T07:30+02:00"),  # an hour is missing in this night
        ("2026-10-24T23:00+02:00", "2026-10-25T07:30+01:00"),  # this one has it twice
        ("2026-10-25T02:30+02:00", "2026-10-25T07:30+01:00"),
        ("2026-10-25T02:30+01:00", "2026-10-25T07:30+01:00"),
        ("2026-03-29T07:30+02:00", None),
        ("2026-03-29T21:59+02:00", None),
    ],
)
def test_nights_in_which_the_clock_is_changed(now: str, over: str | None) -> None:
    found = NIGHT.over_at(datetime.fromisoformat(now).astimezone(UTC))
    assert found == (None if over is None else datetime.fromisoformat(over))


def test_quiet_hours_that_a_day_does_not_have_are_none_that_day() -> None:
    missing = QuietHours(time(2, 15), time(2, 45), BERLIN)
    night = [datetime(2026, 3, 29, 0, minute, tzinfo=UTC) for minute in range(60)]
    assert all(missing.over_at(moment) is None for moment in night)
    assert missing.over_at(datetime(2026, 3, 28, 1, 30, tzinfo=UTC)) is not None


def test_a_quiet_time_that_ends_inside_of_the_next_one_ends_with_that() -> None:
    quiet = QuietHours(time(3), time(2, 30), BERLIN)  # half past two is missing, and comes after three
    found = quiet.over_at(datetime(2026, 3, 29, 1, 10, tzinfo=UTC))
    assert found == datetime.fromisoformat("2026-03-30T02:30+02:00")
