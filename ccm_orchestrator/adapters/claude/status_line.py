"""What the status line command kept: the newest status of the session, and the first one of this run."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from ccm_orchestrator.adapters.claude.payload import Json, number, parse_object, table, text
from ccm_orchestrator.adapters.claude.prices import trusted_display
from ccm_orchestrator.adapters.claude.settings_file import FIRST_STATUS_FILE, STATUS_FILE
from ccm_orchestrator.adapters.plain_files import content_of
from ccm_orchestrator.domain.agent import Evidence, Signal, Source

FULL = 100.0
"""Percent of a limit at which the agent is refused."""


def read_status(run_directory: Path) -> Evidence | None:
    """A sign of life with the cost so far: `data["cost_usd"]`, absent where it cannot be trusted.

    `data["resets_at"]`: unix time at which a usage limit that is reached ends (documented for subscriptions).
    """
    try:
        at = datetime.fromtimestamp((run_directory / STATUS_FILE).stat().st_mtime, UTC)
    except OSError:
        return None
    cost = run_cost(run_directory)
    resets_at = reached_limit_resets_at(_load(run_directory / STATUS_FILE) or {})
    known = {"cost_usd": cost, "resets_at": resets_at}
    data = {name: value for name, value in known.items() if value is not None}
    return Evidence(Source.STATUS_LINE, Signal.ACTIVE, at, "status line", data)


def run_cost(run_directory: Path, session_total: float | None = None) -> float | None:
    """USD of this run: a resumed conversation brings along what it had cost before.

    `session_total`: what the session cost by another source, if that is known; the larger one counts.
    """
    status, first = _load(run_directory / STATUS_FILE), _load(run_directory / FIRST_STATUS_FILE)
    if status is None or not _trusted(status):
        return None
    totals = [total for total in (_total(status), session_total) if total is not None]
    before = (_total(first) if first else None) or 0.0
    return max(0.0, max(totals) - before) if totals else None


def reached_limit_resets_at(status: Json) -> float | None:
    """Of several limits that are used up, the one that ends last: before that nothing goes on."""
    limits = table(status, "rate_limits")
    reached = [table(limits, name) for name in ("five_hour", "seven_day")]
    ends = [number(limit, "resets_at") for limit in reached if (number(limit, "used_percentage") or 0.0) >= FULL]
    return max((end for end in ends if end is not None), default=None)


def _trusted(status: Json) -> bool:
    model = table(status, "model")
    return trusted_display(text(model, "id"), text(model, "display_name"))


def _total(status: Json) -> float | None:
    return number(table(status, "cost"), "total_cost_usd")


def _load(path: Path) -> Json | None:
    try:
        return parse_object(content_of(path))
    except OSError:
        return None
