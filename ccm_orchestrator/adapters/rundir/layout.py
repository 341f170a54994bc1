"""Names of directories and files that daemon, launcher and hooks share."""

from __future__ import annotations

from pathlib import Path

VERSION = 1
"""Of the JSON files between daemon and launcher."""
LAUNCH = "launch.json"
STARTED = "run.json"
EXITED = "exit.json"
LOCK = "lock"
STOP = "stop"
CONDEMNED = "condemned"
RUN_VARIABLE = "CCM_RUN_ID"
"""Set in every agent's environment: it marks whatever the agent starts, also when its launcher is gone."""


class Layout:
    """Everything of a run lies in two private directories named by its id."""

    def __init__(self, state_directory: Path) -> None:
        self.runs = state_directory / "runs"
        self.spools = state_directory / "spool"

    def run(self, run_id: str) -> Path:
        return self.runs / run_id

    def spool(self, run_id: str) -> Path:
        return self.spools / run_id
