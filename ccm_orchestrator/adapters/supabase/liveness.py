"""When the connection to Realtime counts as live, when it is given up, and when the next one begins.

Pure: times are arguments. `uptime_s` is of a clock that counts suspend, `unix_s` the time of day, by which tokens end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, StrEnum, auto
from typing import NamedTuple

FIRST_DELAY_S = 0.2
LONGEST_DELAY_S = 30.0
RATE_LIMITS = (
    "ChannelRateLimitReached",
    "ConnectionRateLimitReached",
    "ClientJoinRateLimitReached",
    "DatabaseConnectionRateLimitReached",
)
"""What the reason of a refusal begins with when the server wants to be left alone for a while."""


class SubscriberStatus(StrEnum):
    STOPPED = "stopped"
    """Not started, or stopped."""
    CONNECTING = "connecting"
    """A token is taken and the socket is opened. Ends after `Pace.connect_s`."""
    JOINING = "joining"
    """The channel is joined, but changes are not delivered yet. Ends after `Pace.ready_s`."""
    LIVE = "live"
    """The server said that changes are delivered, and answers heartbeats."""
    BACKING_OFF = "backing_off"
    """The connection ended, `reason` says why. A new one begins after up to `LONGEST_DELAY_S`."""


STOPPED, CONNECTING, JOINING, LIVE, BACKING_OFF = SubscriberStatus
NEXT = {
    STOPPED: {CONNECTING},
    CONNECTING: {JOINING, BACKING_OFF, STOPPED},
    JOINING: {LIVE, BACKING_OFF, STOPPED},
    LIVE: {BACKING_OFF, STOPPED},
    BACKING_OFF: {CONNECTING, STOPPED},
}


@dataclass(frozen=True, slots=True)
class SubscriberState:
    status: SubscriberStatus
    since: datetime
    reason: str = ""
    """Why the connection before this one ended; empty while live."""
    generation: int = 0
    """Counts connections."""
    last_event_at: datetime | None = None

    def __str__(self) -> str:
        return f"{self.status}: {self.reason}" if self.reason else str(self.status)

    def become(self, status: SubscriberStatus, now: datetime, reason: str = "") -> SubscriberState:
        assert status in NEXT[self.status], f"{self.status} → {status}"
        generation = self.generation + (status is CONNECTING)
        return replace(self, status=status, since=now, reason=reason, generation=generation)


class Ended(NamedTuple):
    """Of a connection."""

    reason: str
    """A sentence without its full stop."""
    rate_limited: bool = False


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds."""

    start_jitter_s: float = 1.0
    """Up to this long a start waits: the machines of a server that comes back shall not come all at once."""
    connect_s: float = 10.0
    ready_s: float = 15.0
    """From the join, and from each new token, until the server must have said that changes are delivered."""
    beat_s: float = 20.0
    answer_s: float = 10.0
    """In which a heartbeat must be answered: a dead connection is noticed after `beat_s` + `answer_s` at the latest."""
    look_s: float = 5.0
    """The longest wait: timers stand still while the machine sleeps, so the clocks are looked at again."""
    renew_ahead_s: float = 120.0
    """Before a token ends, a new one is asked for; Realtime gives no grace. At half time if it lives shorter."""
    renew_again_s: float = 10.0
    """Until it is asked for again when there was none."""
    steady_s: float = 30.0
    """So long a connection must have been live, that its end counts as the first failure."""
    close_s: float = 2.0


@dataclass(frozen=True, slots=True)
class Watch:
    """What is due of a connection that was joined, and when. Unless told otherwise in uptime."""

    pace: Pace
    beat_at: float
    ready_by: float | None
    answer_by: float | None = None
    renew_at: float | None = None
    """Unix time; None: the token has no end, or there is none."""

    def ready(self) -> Watch:
        return replace(self, ready_by=None)

    def beaten(self, uptime_s: float) -> Watch:
        pace = self.pace
        return replace(self, beat_at=uptime_s + pace.beat_s, answer_by=self.answer_by or uptime_s + pace.answer_s)

    def answered(self) -> Watch:
        return replace(self, answer_by=None)

    def renewed(self, uptime_s: float, expires_at: float | None, unix_s: float) -> Watch:
        """With another token. The server subscribes anew, and says so."""
        ready_by = uptime_s + self.pace.ready_s
        return replace(self, ready_by=ready_by, renew_at=renew_at(self.pace, expires_at, unix_s))

    def not_renewed(self, unix_s: float) -> Watch:
        return replace(self, renew_at=unix_s + self.pace.renew_again_s)


class Duty(Enum):
    WAIT = auto()
    BEAT = auto()
    RENEW = auto()
    GIVE_UP = auto()


class Step(NamedTuple):
    duty: Duty
    wait_s: float = 0.0
    reason: str = ""


def watch_after_join(pace: Pace, uptime_s: float, expires_at: float | None, unix_s: float) -> Watch:
    ready_by = uptime_s + pace.ready_s
    return Watch(pace, uptime_s + pace.beat_s, ready_by, renew_at=renew_at(pace, expires_at, unix_s))


def renew_at(pace: Pace, expires_at: float | None, unix_s: float) -> float | None:
    """Unix time. A token that seems to have ended already is tried all the same: this machine's clock may be wrong."""
    if expires_at is None:
        return None
    left_s = expires_at - unix_s
    return unix_s + max(left_s - pace.renew_ahead_s, left_s / 2, pace.renew_again_s)


def next_step(watch: Watch, uptime_s: float, unix_s: float) -> Step:
    pace = watch.pace
    if watch.answer_by is not None and uptime_s >= watch.answer_by:
        return Step(Duty.GIVE_UP, reason=f"no heartbeat was answered for {pace.answer_s:g} s")
    if watch.ready_by is not None and uptime_s >= watch.ready_by:
        return Step(Duty.GIVE_UP, reason=f"joined, but not subscribed to changes after {pace.ready_s:g} s")
    if uptime_s >= watch.beat_at:
        return Step(Duty.BEAT)
    if watch.renew_at is not None and unix_s >= watch.renew_at:
        return Step(Duty.RENEW)
    due = [at for at in (watch.beat_at, watch.answer_by, watch.ready_by) if at is not None]
    waits = [at - uptime_s for at in due] + ([] if watch.renew_at is None else [watch.renew_at - unix_s])
    return Step(Duty.WAIT, min(*waits, pace.look_s))


def backoff_s(failures: int, ended: Ended, chance: float) -> float:
    """Until the next connection. `failures`: in a row, from 1. `chance`: from 0 to 1, other on each machine."""
    if ended.rate_limited:
        return LONGEST_DELAY_S * (1 + chance / 5)
    bound = min(FIRST_DELAY_S * 2.0 ** min(failures, 16), LONGEST_DELAY_S)
    return FIRST_DELAY_S + chance * (bound - FIRST_DELAY_S)


def is_rate_limit(reason: str) -> bool:
    return reason.startswith(RATE_LIMITS)
