"""What every store of approval rules keeps."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from ccm_orchestrator.adapters.sqlite.approvals import SqliteApprovalRules
from ccm_orchestrator.domain.rules import ApprovalRule, RuleDecision
from ccm_orchestrator.errors import RuleNotFound
from ccm_orchestrator.fakes.clock import START
from ccm_orchestrator.fakes.memory_approvals import MemoryApprovalRules
from ccm_orchestrator.ports.approvals import ApprovalRules
from tests.stores import opened

RULE = ApprovalRule(
    rule_id="rule-1a2b",
    decision=RuleDecision.DENY,
    tool="Bash",
    path="src/**",
    command="rm *; é",
    input_digest="0" * 64,
    project="shop",
    profile="executor",
    task_id="task-one",
    owner="ada",
    reason="not here",
    created_at=START,
    created_by="user:ada",
)
BARE = ApprovalRule("rule-1a3c", RuleDecision.ALLOW, tool="*", created_at=START, created_by="local")


@pytest.fixture(params=["memory", "sqlite"])
async def rules(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ApprovalRules]:
    async with AsyncExitStack() as stack:
        if request.param == "memory":
            yield MemoryApprovalRules()
        else:
            yield SqliteApprovalRules(await opened(stack, tmp_path / "ccm.db"))


async def test_rules_come_back_whole_and_the_oldest_first(rules: ApprovalRules) -> None:
    for rule in (RULE, BARE, replace(RULE, tool="another")):
        await rules.add(rule)
    assert await rules.all() == [RULE, BARE]
    assert await rules.get(RULE.rule_id) == RULE


async def test_a_rule_is_found_by_what_only_it_begins_with(rules: ApprovalRules) -> None:
    longer = replace(BARE, rule_id=BARE.rule_id + "d")
    for rule in (RULE, BARE, longer):
        await rules.add(rule)
    assert await rules.get("rule-1a2") == RULE
    assert await rules.get(BARE.rule_id) == BARE
    for ref in ("rule-1a", "rule-2", "", "RULE-1A2B", "rule-1a3cd0"):
        with pytest.raises(RuleNotFound):
            await rules.get(ref)


async def test_a_removed_rule_is_gone_and_removing_it_again_is_nothing(rules: ApprovalRules) -> None:
    for rule in (RULE, BARE):
        await rules.add(rule)
    for _ in range(2):
        await rules.remove(RULE.rule_id)
    await rules.remove("rule-1a")
    assert await rules.all() == [BARE]
