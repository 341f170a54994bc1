"""Where rules are kept that answer what agents ask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ccm_orchestrator.domain.rules import ApprovalRule


class ApprovalRules(Protocol):
    """The stored rules; those of the settings are not among them."""

    async def add(self, rule: ApprovalRule) -> None:
        """Duplicate-safe by `rule_id`."""

    async def get(self, rule_id: str) -> ApprovalRule:
        """By id or unique prefix. Raises: RuleNotFound."""

    async def all(self) -> Sequence[ApprovalRule]:
        """Oldest first."""

    async def remove(self, rule_id: str) -> None:
        """By its whole id; nothing when it is not there."""
