"""The process that sends one notice: reads it from its input as JSON, and answers with the error, or null."""

from __future__ import annotations

import json
import logging
import sys

import apprise

KINDS = {"info": "info", "warning": "warning", "urgent": "failure"}
MOST_CHARACTERS = 300


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


def main() -> None:
    order = json.load(sys.stdin)
    sys.stdout.write(json.dumps({"error": deliver(order["url"], order["title"], order["body"], order["level"])}))


if __name__ == "__main__":
    main()
