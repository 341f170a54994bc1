"""The clock and the project's repository."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Protocol

from ccm_orchestrator.domain.result import GitChange


class Clock(Protocol):
    def now(self) -> datetime:
        """Wall clock, UTC, aware."""

    def uptime_s(self) -> float:
        """Seconds on a clock that never steps and counts suspend: what local lease trust is measured on."""


class Workspace(Protocol):
    """The project's repository, where it is one."""

    async def base_commit(self, path: Path) -> str | None:
        """HEAD now; None when the directory is no repository or has no commit."""

    async def change_since(self, path: Path, base_commit: str, since: datetime | None = None) -> GitChange | None:
        """Untracked files that were there before `since`, and were not touched after it, are somebody else's."""
