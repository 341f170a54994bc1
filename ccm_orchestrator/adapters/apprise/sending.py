"""The process that sends one notice, or looks whether it could: JSON at its input, the error or null as its answer."""

from __future__ import annotations

import json
import logging
import re
import resource
import sys
from contextlib import suppress
from typing import Any

import apprise

KINDS = {"info": "info", "warning": "warning", "urgent": "failure"}
MOST_CHARACTERS = 300
MOST_MEMORY_BYTES = 800_000_000
"""Of addresses, of which a quarter is used: a target's answer may be endless, and Apprise reads it whole."""


def deliver(url: str, title: str, body: str, level: str) -> str | None:
    """Why it could not be delivered; None: it was."""
    target = apprise.Apprise()
    with apprise.LogCapture(level=logging.WARNING, fmt="%(message)s") as said:  # type: ignore[no-untyped-call]
        if not target.add(url):
            return "Apprise does not understand the target's `url`; docs/notifications.md shows examples"
        done = target.notify(body=body, title=title, notify_type=KINDS[level], body_format="text")
        if done:
            return None
        words = " ".join(said.getvalue().split())[:MOST_CHARACTERS]
    return words or "the target refused the message"


def problem_with(url: str) -> str | None:
    """Why Apprise cannot use the address; None: it understands it. Nothing is sent."""
    if apprise.Apprise.instantiate(url, suppress_exceptions=True) is not None:
        return None
    scheme, separated, _ = url.partition("://")
    if not separated or not re.fullmatch("[A-Za-z][A-Za-z0-9]{0,19}", scheme):
        return "the address does not begin with the name of a service and `://`"
    if not any(scheme.lower() in (*each["protocols"], *each["secure_protocols"]) for each in _services()):
        return f"Apprise knows no `{scheme}://`"
    return f"of what `{scheme}://` needs, something is missing or not as it should be"


def _services() -> list[dict[str, list[str]]]:
    known: list[dict[str, Any]] = apprise.Apprise().details()["schemas"]
    return [{kind: list(each[kind] or ()) for kind in ("protocols", "secure_protocols")} for each in known]


def main() -> None:
    with suppress(ValueError, OSError):  # where a lower limit is set already, or there are none
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY_BYTES, MOST_MEMORY_BYTES))
    order = json.load(sys.stdin)
    if order.get("only_look"):
        error = problem_with(order["url"])
    else:
        error = deliver(order["url"], order["title"], order["body"], order["level"])
    sys.stdout.write(json.dumps({"error": error}))


if __name__ == "__main__":
    main()
