"""The `[notifications]` table: who is told what, where and when."""

from __future__ import annotations

from datetime import time
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr

from ccm_orchestrator.settings.types import (
    Count,
    Directory,
    Expect,
    Positive,
    PositiveOrZero,
    SecretText,
    SecureUrl,
    Slug,
    Switch,
    Table,
    Texts,
)

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Event = Literal[
    "needs_person",
    "failed",
    "held",
    "usage_limit",
    "budget",
    "daemon_restarted",
    "crash_loop",
    "system_silent",
    "stalled",
    "recovery_failed",
    "incident_opened",
    "incident_closed",
]


def _listed(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _hours(value: str) -> str:
    first, _, second = value.partition("-")
    if time.fromisoformat(first.strip()) == time.fromisoformat(second.strip()):
        raise ValueError("an empty span")
    return value


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, OSError) as error:
        raise ValueError("no such zone") from error
    return value


Events = Annotated[
    tuple[Event, ...],
    BeforeValidator(_listed),
    Expect("a list of `needs_person`, `failed`, `held`, `usage_limit` and the others of docs/notifications.md"),
]
Days = Annotated[
    tuple[Day, ...], BeforeValidator(_listed), Expect('a list of days, such as ["mon", "tue", "wed", "thu", "fri"]')
]
Hours = Annotated[str, AfterValidator(_hours), Expect("two times of day, such as `22:00-07:30`")]
Zone = Annotated[str, AfterValidator(_zone), Expect("a time zone, such as `Europe/Berlin`")]
LevelName = Annotated[Literal["info", "warning", "urgent"], Expect("one of `info`, `warning`, `urgent`")]


class TargetTable(Table):
    """Somebody to tell. The address is a secret: in the environment, or in files that only their owner reads."""

    url: SecretText | None = Field(
        default=None, repr=False, description="Apprise URL, such as `ntfy://ntfy.sh/my-topic`; docs/notifications.md."
    )
    url_file: Directory | None = Field(default=None, description="File that holds `url`.")
    events: Events = Field(default=(), description="What it is told; empty: everything.")
    projects: Texts = Field(
        default=(), description="Only of tasks in these projects, and of what belongs to no task; empty: of all."
    )
    level: LevelName = Field(default="info", description="Least level that it is told.")
    quiet_hours: Hours | None = Field(
        default=None, description="Times between which it is told nothing; at their end it gets one summary."
    )
    quiet_days: Days = Field(default=(), description="Days on which the quiet hours begin; empty: every day.")
    time_zone: Zone = Field(default="UTC", description="Whose clock the quiet hours go by.")
    urgent_passes: Switch = Field(default=True, description="What is urgent is told in quiet hours, too.")


class BudgetTable(Table):
    """What all agents of this machine together may use within a day. It is counted when a run ends."""

    cost_usd_per_day: Positive | None = Field(
        default=None, description="US dollars, where the agents' own figures tell them."
    )
    tokens_per_day: Count | None = Field(default=None, description="Tokens, without those that were read from a cache.")
    hold: Switch = Field(
        default=False, description="Begin nothing more on a day whose budget is spent; agents at work go on."
    )
    time_zone: Zone = Field(default="UTC", description="Whose midnight begins a day.")


class NotificationsTable(Table):
    """What people are told of, at the targets `[notifications.targets.NAME]`."""

    public_url: SecureUrl | None = Field(
        default=None, description="Address under which people reach this daemon; links in messages begin with it."
    )
    waiting_s: PositiveOrZero = Field(
        default=60.0, description="Seconds that something must wait for a person before one is told."
    )
    window_s: PositiveOrZero = Field(
        default=300.0, description="Seconds in which the same thing is told only once, with a count."
    )
    messages_per_hour: Count = Field(
        default=30, description="Messages that one target gets within an hour; what is more comes in one summary."
    )
    timeout_s: Annotated[float, Field(gt=0, le=120), Expect("a number of seconds up to 120")] = Field(
        default=20.0, description="Seconds that one delivery may take."
    )
    targets: dict[Slug, TargetTable] = Field(default_factory=dict, description="Targets, by name.")
    _left_out: dict[str, str] = PrivateAttr(default_factory=dict)

    @property
    def left_out(self) -> dict[str, str]:
        """Targets that cannot be used as they are written, with what is wrong; they are not among `targets`."""
        return self._left_out
