"""Rules that answer what agents ask, in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import fields

from ccm_orchestrator.adapters.sqlite.database import Database
from ccm_orchestrator.adapters.sqlite.documents import optional_time_text, read_time, storable
from ccm_orchestrator.adapters.sqlite.table import LAST_CHARACTER
from ccm_orchestrator.domain import refusals
from ccm_orchestrator.domain.rules import ApprovalRule, RuleDecision

_COLUMNS = tuple(field.name for field in fields(ApprovalRule))
_ADD = f"INSERT OR IGNORE INTO approval_rules ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"
_FIND = "SELECT * FROM approval_rules WHERE rule_id >= ? AND rule_id < ? ORDER BY rule_id LIMIT 2"


class SqliteApprovalRules:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, rule: ApprovalRule) -> None:
        values = [_column(getattr(rule, name)) for name in _COLUMNS]
        values[_COLUMNS.index("created_at")] = optional_time_text(rule.created_at)
        await self._database.write(lambda c: c.execute(_ADD, values).rowcount)

    async def get(self, rule_id: str) -> ApprovalRule:
        bounds = (rule_id, rule_id + LAST_CHARACTER)
        found = await self._database.read(lambda c: [_rule(row) for row in c.execute(_FIND, bounds)])
        if not rule_id or not found:
            raise refusals.rule_not_found(rule_id)
        if len(found) > 1 and found[0].rule_id != rule_id:
            raise refusals.ambiguous_rule(rule_id)
        return found[0]

    async def all(self) -> Sequence[ApprovalRule]:
        statement = "SELECT * FROM approval_rules ORDER BY seq"
        return await self._database.read(lambda c: [_rule(row) for row in c.execute(statement)])

    async def remove(self, rule_id: str) -> None:
        statement = "DELETE FROM approval_rules WHERE rule_id = ?"
        await self._database.write(lambda c: c.execute(statement, (rule_id,)).rowcount)


def _column(value: object) -> object:
    return storable(value) if isinstance(value, str) else value


def _rule(row: sqlite3.Row) -> ApprovalRule:
    values = {name: row[name] for name in _COLUMNS}
    decision, created_at = RuleDecision(row["decision"]), read_time(row["created_at"])
    return ApprovalRule(**values | {"decision": decision, "created_at": created_at})
