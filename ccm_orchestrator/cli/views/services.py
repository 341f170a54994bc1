"""What the service manager says, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

STYLES = {"active": "green", "failed": "red", "activating": "yellow"}


def service_report(status: Mapping[str, Any], system: bool) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    for label, state in (("daemon", status["daemon"]), ("agents' tmux server", status["tmux"])):
        grid.add_row(label, Text(state, style=STYLES.get(state, "")))
    if status["says"]:
        grid.add_row("says", Text(status["says"]))
    if status["installed"]:
        grid.add_row("starts with", status["starts_with"] or "nothing: it was disabled")
        grid.add_row("restarts", str(status["restarts"]))
    for number, file in enumerate(status["files"]):
        grid.add_row("" if number else "files", Text(file))
    if status["problem"]:
        grid.add_row("cannot be asked", Text(status["problem"], style="red"))
    elif not status["installed"]:
        grid.add_row("", f"Install it with `ccm-orchestrator service install{' --system' if system else ''}`.")
    return grid
