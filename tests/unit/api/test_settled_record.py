"""What no call answered stands in the audit log, too, with who or what settled it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from ccm_orchestrator.domain.audit import AuditEntry
from ccm_orchestrator.domain.caller import CallerKind
from ccm_orchestrator.domain.dialogue import PermissionStatus
from ccm_orchestrator.engine.permission_news import close_request, overrule
from ccm_orchestrator.engine.permission_record import ACTION, EXPIRY, REOPENED, RUN_END, TERMINAL
from ccm_orchestrator.errors import TerminalUnavailable
from ccm_orchestrator.ports.audit import AuditQuery
from tests.api_house import DIALOG, House


async def settled(house: House) -> list[AuditEntry]:
    return [record.entry for record in await house.audit.read(AuditQuery(action=ACTION))]


async def test_an_answer_by_a_rule_is_recorded_under_its_name(house: House) -> None:
    async with house.client() as api:
        rule = (await api.post("/api/approval-rules", json={"decision": "allow", "tool": "Bash"})).json()
    await house.agent()
    assert (await house.ask()).json()["decision"] == "allow"
    (entry,) = await settled(house)
    assert (entry.caller, entry.kind) == (f"rule:{rule['rule_id']}", CallerKind.DAEMON)
    assert entry.target.startswith("/api/permissions/perm-")
    assert entry.after is not None and (entry.after["decision"], entry.after["subject"]) == ("allow", "npm test")


async def test_an_answer_over_the_api_is_recorded_once_by_its_call(house: House) -> None:
    run = await house.agent()
    hook = house.ask()
    await house.asked()
    async with house.client() as api:
        await api.post(f"/api/agents/{run.name}/permissions", json={"decision": "allow"})
    await hook
    assert await settled(house) == []
    assert len(await house.audit.read(AuditQuery(action="permissions"))) >= 1


@pytest.mark.parametrize(
    ("status", "hours", "who"),
    [
        (PermissionStatus.ANSWERED_ELSEWHERE, 0, TERMINAL),
        (PermissionStatus.EXPIRED, 0, RUN_END),
        (PermissionStatus.EXPIRED, 10_000, EXPIRY),
    ],
)
async def test_what_the_window_or_the_time_settled_is_recorded(
    house: House, status: PermissionStatus, hours: int, who: str
) -> None:
    house.profiles["executor"] = replace(house.profiles["executor"], permission_timeout_s=60.0)
    await house.agent()
    hook = house.ask()
    (request,) = await house.asked()
    hook.cancel()
    await asyncio.wait({hook})
    house.clock.advance(timedelta(hours=hours).total_seconds())
    await close_request(house.journal, house.bus, house.clock, request, status)
    await close_request(house.journal, house.bus, house.clock, request, status)
    assert [entry.caller for entry in await settled(house)] == [who]


async def test_an_answer_that_the_terminal_overruled_is_recorded_again(house: House) -> None:
    run = await house.agent()
    hook = house.ask()
    await house.asked()
    async with house.client() as api:
        await api.post(f"/api/agents/{run.name}/permissions", json={"decision": "deny", "decided_by": "anna"})
    await hook
    (request,) = await house.journal.permissions(run.run_id, open_only=False)
    await overrule(house.journal, house.bus, house.clock, request)
    await overrule(house.journal, house.bus, house.clock, request)
    (entry,) = await settled(house)
    assert (entry.caller, entry.before) == (TERMINAL, {"status": "decided"})
    assert entry.after is not None
    told = {"status": "answered_elsewhere", "overruled": "deny", "overruled_by": "anna"}
    assert told.items() <= dict(entry.after).items()


async def test_an_answer_by_a_rule_whose_key_could_not_be_pressed_is_recorded_as_taken_back(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await house.agent()
    house.terminal.of_run(run.run_id).output = DIALOG
    hook = house.ask()
    (request,) = await house.asked()
    hook.cancel()
    await asyncio.wait({hook})

    async def refuse(*_: object) -> None:
        raise TerminalUnavailable("tmux does not answer.")

    monkeypatch.setattr(house.terminal, "press", refuse)
    async with house.client() as api:
        await api.post("/api/approval-rules", json={"decision": "allow", "tool": "Bash"})
    assert (await house.journal.permission(request.request_id)).status is PermissionStatus.OPEN
    reopened, settled = await house.audit.read(AuditQuery(action="permission "))
    assert (settled.entry.action, reopened.entry.action) == (ACTION, REOPENED)
    assert reopened.entry.caller == settled.entry.caller and settled.entry.caller.startswith("rule:")
    assert reopened.entry.after == {"status": "open", "reason": "tmux does not answer."}
    assert "permission.decided" not in await house.kinds()
