"""Kinds of failure, and when a usage limit ends."""

from datetime import UTC, datetime

import pytest

from ccm_orchestrator.adapters.claude.failures import failure_kind, failure_of_status, resets_at
from ccm_orchestrator.domain.result import FailureKind

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("error", "message", "kind"),
    [
        ("rate_limit", "API Error: Request rejected (429) · Too many requests", FailureKind.RATE_LIMIT),
        (
            "rate_limit",
            "API Error: (429) · exceeds your organization's rate limit",
            FailureKind.RATE_LIMIT,
        ),
        (
            "rate_limit",
            "(429) · You have reached your usage limit.",
            FailureKind.USAGE_LIMIT,
        ),
        ("rate_limit", "You've hit your session limit · resets 3pm", FailureKind.USAGE_LIMIT),
        ("rate_limit", "5-hour limit reached ∙ resets 8pm", FailureKind.USAGE_LIMIT),
        ("server_error", "API Error: 529 Overloaded. This is a server-side issue", FailureKind.OVERLOADED),
        ("server_error", "API Error: 500 Internal server error.", FailureKind.API_ERROR),
        (
            "server_error",
            "API Error: Connection refused — blocked? (ECONNREFUSED)",
            FailureKind.API_ERROR,
        ),
        ("overloaded", "", FailureKind.OVERLOADED),
        ("authentication_failed", "Not logged in · Please run /login", FailureKind.AUTHENTICATION),
        ("billing_error", "Credit balance is too low", FailureKind.BILLING),
        ("invalid_request", "Prompt is too long", FailureKind.INVALID_REQUEST),
        ("model_not_found", "There's an issue with the selected model (x).", FailureKind.MODEL_NOT_FOUND),
        ("unknown", "API Error: 400 bad", FailureKind.INVALID_REQUEST),
        ("unknown", "API Error: 400 no such thing as error-429, usage limit, /login", FailureKind.INVALID_REQUEST),
        ("something_new", "Nobody knows", FailureKind.API_ERROR),
    ],
)
def test_the_kind_of_a_failed_turn(error: str, message: str, kind: FailureKind) -> None:
    assert failure_kind(error, message) is kind


def test_a_status_tells_what_the_message_does_not() -> None:
    assert failure_of_status(529, "x") is FailureKind.OVERLOADED
    assert failure_of_status(429, "weekly limit reached") is FailureKind.USAGE_LIMIT
    assert failure_of_status(None, "API Error: 400 x") is FailureKind.INVALID_REQUEST


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Claude AI usage limit reached|1767650400", datetime.fromtimestamp(1767650400, UTC)),
        ("5-hour limit reached ∙ resets 8pm (UTC)", datetime(2026, 1, 5, 20, 0, tzinfo=UTC)),
        ("limit · resets 8:30am (UTC)", datetime(2026, 1, 6, 8, 30, tzinfo=UTC)),
        ("resets 12am (UTC)", datetime(2026, 1, 6, 0, 0, tzinfo=UTC)),
        ("resets 3pm (Europe/Berlin)", datetime(2026, 1, 5, 14, 0, tzinfo=UTC)),
        ("weekly limit · resets Jan 8, 3pm (UTC)", datetime(2026, 1, 8, 15, 0, tzinfo=UTC)),
        ("weekly limit · resets Jan 2 at 3pm (UTC)", datetime(2027, 1, 2, 15, 0, tzinfo=UTC)),
    ],
)
def test_the_end_of_a_usage_limit(message: str, expected: datetime) -> None:
    assert resets_at(message, NOW) == expected.timestamp()


@pytest.mark.parametrize("message", ["usage limit reached", "resets soon", "resets Feb 31, 3pm (UTC)"])
def test_no_end_is_made_up(message: str) -> None:
    assert resets_at(message, NOW) is None
