"""Rules that answer what agents ask, in memory."""

from __future__ import annotations

from collections.abc import Sequence

from ccm_orchestrator.domain import refusals
from ccm_orchestrator.domain.rules import ApprovalRule


class MemoryApprovalRules:
    def __init__(self) -> None:
        self._rules: dict[str, ApprovalRule] = {}

    async def add(self, rule: ApprovalRule) -> None:
        self._rules.setdefault(rule.rule_id, rule)

    async def get(self, rule_id: str) -> ApprovalRule:
        if rule_id in self._rules:
            return self._rules[rule_id]
        found = [rule for known, rule in self._rules.items() if rule_id and known.startswith(rule_id)]
        if len(found) == 1:
            return found[0]
        raise refusals.ambiguous_rule(rule_id) if found else refusals.rule_not_found(rule_id)

    async def all(self) -> Sequence[ApprovalRule]:
        return list(self._rules.values())

    async def remove(self, rule_id: str) -> None:
        self._rules.pop(rule_id, None)
