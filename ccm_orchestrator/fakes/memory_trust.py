"""Approvals of projects' files in memory."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from ccm_orchestrator.domain.trust import Risk


class MemoryTrustStore:
    def __init__(self) -> None:
        self._approved: dict[str, tuple[Path, frozenset[tuple[str, str]]]] = {}

    async def approved(self, project: str, directory: Path) -> frozenset[tuple[str, str]]:
        known = self._approved.get(project)
        return known[1] if known and known[0] == directory else frozenset()

    async def approve(self, project: str, directory: Path, risks: Iterable[Risk], by: str, at: datetime) -> None:
        self._approved[project] = directory, frozenset(risk.key for risk in risks)

    async def forget(self, project: str) -> None:
        self._approved.pop(project, None)
