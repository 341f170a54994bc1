"""Many answers to one request at the same instant, over real sockets, on a real database: exactly one counts."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from ccm_orchestrator.adapters.sqlite.approvals import SqliteApprovalRules
from ccm_orchestrator.adapters.sqlite.events import SqliteEventStore
from ccm_orchestrator.adapters.sqlite.journal import SqliteJournal
from ccm_orchestrator.domain.dialogue import Decision, PermissionStatus, Verdict
from tests.api_house import API_TOKEN, ASK, DIALOG, RUN_A, House, served, token_of
from tests.stores import opened

ANSWERS = 30
ROUNDS = 4


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House()
    async with AsyncExitStack() as stack:
        database = await opened(stack, tmp_path / "ccm.db")
        house.journal = SqliteJournal(database, house.clock)  # type: ignore[assignment]
        house.events = SqliteEventStore(database)  # type: ignore[assignment]
        house.rules = SqliteApprovalRules(database)  # type: ignore[assignment]
        house.restart()
        await house.prepare()
        yield house


def answer_of(number: int) -> dict[str, Any]:
    """Every kind of answer, each signed with its number."""
    decision, scope = ("allow", "deny")[number % 2], ("once", "task", "rule")[number % 3]
    return {"decision": decision, "scope": scope, "decided_by": f"person-{number}", "reason": f"says {number}"}


async def answers_at_once(port: int, request_id: str) -> list[tuple[int, dict[str, Any]]]:
    """Each over a connection of its own, all sent when the last is there."""
    together, encryption = asyncio.Barrier(ANSWERS), httpx.create_ssl_context()  # costly, and not needed here

    async def answer(number: int) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Bearer {API_TOKEN}"}
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60, verify=encryption
        ) as client:
            (await client.get("/health")).raise_for_status()
            await together.wait()
            response = await client.post(f"/api/permissions/{request_id}", json=answer_of(number))
            return response.status_code, response.json()

    return list(await asyncio.gather(*map(answer, range(ANSWERS))))


async def hook(port: int, round_number: int) -> httpx.Response:
    payload = ASK | {"tool_input": {"command": f"npm test {round_number}"}}
    headers = {"Authorization": f"Bearer {token_of(RUN_A)}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as client:
        return await client.post(f"/internal/hooks/{RUN_A}/permission", json=payload)


async def test_exactly_one_of_many_answers_counts_and_is_what_the_agent_hears(house: House) -> None:
    await house.agent()
    async with served(house) as server:
        for round_number in range(ROUNDS):
            held = asyncio.create_task(hook(server.port, round_number))
            (request,) = await house.asked()
            answers = await answers_at_once(server.port, request.request_id)
            assert Counter(code for code, _ in answers) == {200: 1, 409: ANSWERS - 1}
            winner = next(body for code, body in answers if code == 200)["verdict"]
            stored = (await house.journal.permission(request.request_id)).verdict
            assert stored is not None and stored.decided_by == winner["decided_by"]
            told = (await held).json()
            assert (told["decision"], told["reason"]) == (winner["decision"], winner["reason"])
            made = [rule.rule_id for rule in await house.rules.all()]
            assert made == winner["rule_ids"], "losers make no rules"
            for rule_id in made:
                await house.rules.remove(rule_id)
    kinds = Counter(await house.kinds())
    assert kinds == {"permission.requested": ROUNDS, "permission.decided": ROUNDS}


async def test_a_hook_that_hangs_up_amid_many_answers_leaves_one_outcome(house: House) -> None:
    """As when somebody says No in the terminal at that very instant."""
    await house.agent()
    winners = dict[str, list[str]]()
    async with served(house) as server:
        for round_number in range(ROUNDS):
            held = asyncio.create_task(hook(server.port, round_number))
            (request,) = await house.asked()
            asyncio.get_running_loop().call_later(0.002 * round_number, held.cancel)
            answers = await answers_at_once(server.port, request.request_id)
            await asyncio.wait({held})
            await house.settled(request.request_id)
            won = [body["verdict"]["decided_by"] for code, body in answers if code == 200]
            winners[request.request_id] = won
            for rule in await house.rules.all():
                await house.rules.remove(rule.rule_id)
    overruled = 0
    for request_id, won in winners.items():
        settled = await house.journal.permission(request_id)
        taken_back = await corrected(house, request_id)
        assert settled.status in (PermissionStatus.DECIDED, PermissionStatus.ANSWERED_ELSEWHERE)
        assert len(won) == (settled.status is PermissionStatus.DECIDED) + len(taken_back)
        assert settled.verdict is None or [settled.verdict.decided_by] == won
        overruled += len(taken_back)
    decided = ROUNDS + overruled
    assert Counter(await house.kinds()) == {"permission.requested": ROUNDS, "permission.decided": decided}


async def corrected(house: House, request_id: str) -> list[object]:
    """What the events say of answers to it that were taken back."""
    told = [stored.event.data for stored in await house.events.read(0)]
    return [data["overruled"] for data in told if data.get("request_id") == request_id and "overruled" in data]


@pytest.mark.parametrize(("decision", "stands"), [(Decision.ALLOW, False), (Decision.DENY, True)])
async def test_an_answer_that_finds_its_hook_gone_counts_only_when_the_terminal_said_the_same(
    house: House, decision: Decision, stands: bool
) -> None:
    """A hook is hung up by a "No" in the terminal, and this one was before the answer could reach it."""
    run = await house.agent()
    hung_up = asyncio.get_running_loop().create_future()
    held = asyncio.create_task(house.control.hold_permission(run.run_id, token_of(run.run_id), ASK, hung_up))
    (request,) = await house.asked()
    await house.journal.decide_permission(request.request_id, Verdict(decision, "key:anna"))
    hung_up.set_result(None)
    assert (await held is not None) is stands
    known = await house.journal.permission(request.request_id)
    assert (known.status is PermissionStatus.DECIDED) is stands
    assert len(await corrected(house, request.request_id)) == (0 if stands else 1)


async def test_after_a_restart_many_answers_press_one_key(house: House) -> None:
    run = await house.agent()
    window = house.terminal.of_run(run.run_id)
    window.output = DIALOG
    lost = house.ask()
    (request,) = await house.asked()
    lost.cancel()
    await asyncio.wait({lost})
    house.restart()
    async with served(house) as server:
        answers = await answers_at_once(server.port, request.request_id)
    assert Counter(code for code, _ in answers) == {200: 1, 409: ANSWERS - 1}
    assert len(window.pressed) == 1
