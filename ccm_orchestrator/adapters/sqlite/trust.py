"""Approvals of projects' files in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from ccm_orchestrator.adapters.sqlite.database import Database
from ccm_orchestrator.adapters.sqlite.documents import storable, time_text
from ccm_orchestrator.domain.trust import Risk

_READ = "SELECT file, digest FROM project_trust WHERE project = ? AND directory = ?"
_FORGET = "DELETE FROM project_trust WHERE project = ?"
_ADD = """
INSERT OR IGNORE INTO project_trust (project, directory, file, digest, approved_at, approved_by)
VALUES (?, ?, ?, ?, ?, ?)
"""


class SqliteTrustStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def approved(self, project: str, directory: Path) -> frozenset[tuple[str, str]]:
        values = (storable(project), storable(str(directory)))
        rows = await self._database.read(lambda c: c.execute(_READ, values).fetchall())
        return frozenset((row["file"], row["digest"]) for row in rows)

    async def approve(self, project: str, directory: Path, risks: Iterable[Risk], by: str, at: datetime) -> None:
        whose = (storable(project), storable(str(directory)))
        who = (time_text(at), storable(by))
        rows = [(*whose, risk.file, risk.digest, *who) for risk in risks]

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(_FORGET, whose[:1])
            connection.executemany(_ADD, rows)

        await self._database.write(write)

    async def forget(self, project: str) -> None:
        await self._database.write(lambda c: c.execute(_FORGET, (storable(project),)))
