"""Whom people's messages go to and what a day may cost, read from the settings."""

from __future__ import annotations

import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import time
from zoneinfo import ZoneInfo

from ccm_orchestrator.domain.notices import Level, NoticeEvent, QuietHours
from ccm_orchestrator.domain.spending import Budget
from ccm_orchestrator.domain.telling import NoticeTarget
from ccm_orchestrator.errors import InvalidSettings
from ccm_orchestrator.settings.notifications import BudgetTable, NotificationsTable, TargetTable

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class Targets:
    usable: Sequence[NoticeTarget]
    left_out: Mapping[str, str]
    """By name, with what is wrong with each: the others work on."""


def read_targets(table: NotificationsTable) -> Targets:
    usable, left_out = [], dict(table.left_out)
    for name, target in table.targets.items():
        try:
            usable.append(build_target(name, target))
        except InvalidSettings as error:
            left_out[name] = error.message
    return Targets(usable, left_out)


def build_budget(table: BudgetTable) -> Budget:
    return Budget(ZoneInfo(table.time_zone), table.cost_usd_per_day, table.tokens_per_day, table.hold)


def build_target(name: str, table: TargetTable) -> NoticeTarget:
    """Raises: InvalidSettings."""
    quiet = None
    if table.quiet_hours is not None:
        start, end = (time.fromisoformat(part.strip()) for part in table.quiet_hours.split("-"))
        days = frozenset(DAYS.index(day) for day in table.quiet_days or DAYS)
        quiet = QuietHours(start, end, ZoneInfo(table.time_zone), days)
    events = frozenset(NoticeEvent(event) for event in table.events)
    level = Level(table.level)
    return NoticeTarget(name, _url(name, table), events, frozenset(table.projects), level, quiet, table.urgent_passes)


def _url(name: str, table: TargetTable) -> str:
    if table.url is not None:
        return table.url.get_secret_value()
    if table.url_file is None:
        raise InvalidSettings(f"`notifications.targets.{name}` needs `url` or `url_file`.")
    try:
        if stat.S_IMODE(table.url_file.stat().st_mode) & 0o077:
            raise InvalidSettings(f"{table.url_file} is open to other users: `chmod 600 {table.url_file}`")
        return table.url_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSettings(f"`notifications.targets.{name}.url_file` cannot be read: {error}.") from error
