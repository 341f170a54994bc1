"""What the status line command kept: the newest status of the session, and the first one of this run."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from ccm_orchestrator.adapters.claude.payload import Json, number, parse_object, table, text
from ccm_orchestrator.adapters.claude.prices import trusted_display
from ccm_orchestrator.adapters.claude.settings_file import FIRST_STATUS_FILE, STATUS_FILE
from ccm_orchestrator.domain.agent import Evidence, Signal, Source


def read_status(run_directory: Path) -> Evidence | None:
    """A sign of life with the cost so far: `data["cost_usd"]`, absent where it cannot be trusted."""
    try:
        at = datetime.fromtimestamp((run_directory / STATUS_FILE).stat().st_mtime, UTC)
    except OSError:
        return None
    cost = run_cost(run_directory)
    data = {} if cost is None else {"cost_usd": cost}
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


def _trusted(status: Json) -> bool:
    model = table(status, "model")
    return trusted_display(text(model, "id"), text(model, "display_name"))


def _total(status: Json) -> float | None:
    return number(table(status, "cost"), "total_cost_usd")


def _load(path: Path) -> Json | None:
    try:
        return parse_object(path.read_bytes())
    except OSError:
        return None
