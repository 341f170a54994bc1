"""Why a turn failed, from what Claude Code says of it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ccm_orchestrator.domain.result import FailureKind

_BY_ERROR = {
    "authentication_failed": FailureKind.AUTHENTICATION,
    "oauth_org_not_allowed": FailureKind.AUTHENTICATION,
    "billing_error": FailureKind.BILLING,
    "invalid_request": FailureKind.INVALID_REQUEST,
    "max_output_tokens": FailureKind.INVALID_REQUEST,
    "model_not_found": FailureKind.MODEL_NOT_FOUND,
    "overloaded": FailureKind.OVERLOADED,
    "rate_limit": FailureKind.RATE_LIMIT,
    "server_error": FailureKind.API_ERROR,
}
_USAGE_LIMIT = re.compile(
    r"\b(?:usage|session|weekly|daily|monthly|5-hour|opus|sonnet|spend|spending) limit\b"
    r"|\bhit your limit\b|(?<!context )limit reached",
    re.IGNORECASE,
)
_OVERLOADED = re.compile(r"\b529\b|\boverloaded\b", re.IGNORECASE)
_UNREACHABLE = re.compile(r"ECONN|ConnectionRefused|unable to connect|stopped arriving", re.IGNORECASE)
_TOLD_STATUS = re.compile(r"\bAPI Error: (\d{3})\b")
_PATTERNS = (
    (_USAGE_LIMIT, FailureKind.USAGE_LIMIT),
    (re.compile(r"/login\b", re.IGNORECASE), FailureKind.AUTHENTICATION),
    (re.compile(r"credit balance", re.IGNORECASE), FailureKind.BILLING),
    (re.compile(r"selected model", re.IGNORECASE), FailureKind.MODEL_NOT_FOUND),
    (re.compile(r"\(429\)|\b429\b", re.IGNORECASE), FailureKind.RATE_LIMIT),
    (_OVERLOADED, FailureKind.OVERLOADED),
    (re.compile(r"too long|too large|context limit", re.IGNORECASE), FailureKind.INVALID_REQUEST),
)
_STATUSES = {
    401: FailureKind.AUTHENTICATION,
    403: FailureKind.AUTHENTICATION,
    404: FailureKind.MODEL_NOT_FOUND,
    429: FailureKind.RATE_LIMIT,
    529: FailureKind.OVERLOADED,
}
_EPOCH = re.compile(r"\|\s*(\d{10})\b")
_RESETS = re.compile(
    r"resets?(?: at)?\s+(?:(?P<month>[A-Z][a-z]{2})[a-z]* (?P<day>\d{1,2}),?(?: at)?\s+)?"
    r"(?P<hour>\d{1,2})(?::(?P<minute>\d{2}))?\s*(?P<half>[ap]m)(?:\s*\((?P<zone>[\w/+-]+)\))?",
    re.IGNORECASE,
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def failure_kind(error: str, message: str) -> FailureKind:
    """From `StopFailure.error` and the message beside it; some errors are told apart by the message only."""
    kind = _BY_ERROR.get(error)
    if kind is FailureKind.RATE_LIMIT and _USAGE_LIMIT.search(message):
        return FailureKind.USAGE_LIMIT
    if kind is FailureKind.API_ERROR and _OVERLOADED.search(message) and not _UNREACHABLE.search(message):
        return FailureKind.OVERLOADED
    return kind or failure_in_text(message)


def failure_in_text(message: str) -> FailureKind:
    """From a rendered error alone. What the server said may mention anything, so its status counts first."""
    told = _TOLD_STATUS.search(message)
    if told:
        return _of_status(int(told[1]))
    return next((kind for pattern, kind in _PATTERNS if pattern.search(message)), FailureKind.API_ERROR)


def failure_of_status(status: int | None, message: str) -> FailureKind:
    """From an HTTP status and the message beside it."""
    if status == 429 and _USAGE_LIMIT.search(message):
        return FailureKind.USAGE_LIMIT
    return failure_in_text(message) if status is None else _of_status(status)


def _of_status(status: int) -> FailureKind:
    bad_request = FailureKind.INVALID_REQUEST if 400 <= status < 500 else FailureKind.API_ERROR
    return _STATUSES.get(status, bad_request)


def resets_at(message: str, now: datetime) -> float | None:
    """Unix time at which a usage limit ends, where the message says so: "resets 3pm (Europe/Berlin)"."""
    epoch = _EPOCH.search(message)
    if epoch:
        return float(epoch[1])
    found = _RESETS.search(message)
    return None if found is None else _next_moment(found, now)


def _next_moment(found: re.Match[str], now: datetime) -> float | None:
    here = now.astimezone(_zone(found["zone"]))
    hour = int(found["hour"]) % 12 + (12 if found["half"].lower() == "pm" else 0)
    try:
        moment = here.replace(hour=hour, minute=int(found["minute"] or 0), second=0, microsecond=0)
        if found["month"]:
            month = _MONTHS.index(found["month"].lower()) + 1
            moment = moment.replace(month=month, day=int(found["day"]))
            return (moment if moment > here else moment.replace(year=moment.year + 1)).timestamp()
    except ValueError:
        return None
    return (moment if moment > here else moment + timedelta(days=1)).timestamp()


def _zone(name: str | None) -> tzinfo | None:
    """None is the machine's own zone, which Claude Code means when it names none."""
    if name is None:
        return None
    if name.upper() == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return None
