"""Permissions: a hook is held until somebody decides, here or in the terminal, before or after a restart."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from ccm_orchestrator.domain.dialogue import Decision, PermissionStatus, Verdict
from ccm_orchestrator.domain.profiles import Profile
from ccm_orchestrator.domain.run import RunState, WindowRef
from ccm_orchestrator.errors import Forbidden, TerminalUnavailable
from ccm_orchestrator.ports.terminal import Key
from tests.api_house import ASK, DIALOG, RUN_A, RUN_B, House, eventually, token_of

QUESTION = {
    "dialog": "question",
    "tool_name": "AskUserQuestion",
    "tool_input": {"questions": [{"question": "Which database?"}]},
}


@pytest.mark.parametrize("by", ["agent", "request"])
@pytest.mark.parametrize("decision", ["allow", "deny"])
async def test_a_held_hook_is_answered_by_a_decision_over_the_api(
    house: House, api: httpx.AsyncClient, by: str, decision: str
) -> None:
    run = await house.agent()
    hook = house.ask()
    (request,) = await house.asked()
    path = f"/api/agents/{run.name}/permissions" if by == "agent" else f"/api/permissions/{request.request_id}"
    listed = (await api.get(f"/api/agents/{run.name}/permissions")).json()
    assert listed[0]["tool_input"] == {"command": "npm test"} and not hook.done()
    decided = await api.post(path, json={"decision": decision, "reason": "not now", "decided_by": "ada"})
    assert (decided.status_code, decided.json()["status"]) == (200, "decided")
    answer = await hook
    assert answer.status_code == 200
    assert answer.json() == {"decision": decision, "reason": "not now"}
    events = [stored.event for stored in await house.events.read(0)]
    assert [event.kind.value for event in events] == ["permission.requested", "permission.decided"]
    assert events[0].data["subject"] == "npm test" and events[1].data["decided_by"] == "ada"
    assert house.terminal.of_run(run.run_id).pressed == []


async def test_the_first_decision_wins(house: House, api: httpx.AsyncClient) -> None:
    await house.agent()
    hook = house.ask()
    (request,) = await house.asked()
    path = f"/api/permissions/{request.request_id}"
    answers = await asyncio.gather(*(api.post(path, json={"decision": d}) for d in ("deny", "allow", "allow")))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
    winner = next(answer for answer in answers if answer.status_code == 200)
    assert (await hook).json()["decision"] == winner.json()["verdict"]["decision"]


async def test_a_question_is_answered_with_its_answers(house: House, api: httpx.AsyncClient) -> None:
    run = await house.agent()
    hook = house.ask(QUESTION)
    await house.asked()
    path = f"/api/agents/{run.name}/permissions"
    bare = await api.post(path, json={"decision": "allow"})
    assert bare.status_code == 422 and "give `answers`" in bare.json()["detail"] and not hook.done()
    await api.post(path, json={"decision": "allow", "answers": {"Which database?": "SQLite"}})
    assert (await hook).json()["input"] == {
        "questions": [{"question": "Which database?"}],
        "answers": {"Which database?": "SQLite"},
    }


async def test_answers_to_something_that_is_no_question_are_refused(house: House, api: httpx.AsyncClient) -> None:
    run = await house.agent()
    hook = house.ask()
    await house.asked()
    response = await api.post(f"/api/agents/{run.name}/permissions", json={"decision": "allow", "answers": {"a": "b"}})
    assert response.status_code == 422 and not hook.done()
    hook.cancel()


async def test_an_agent_that_asks_several_things_is_not_answered_by_its_name(
    house: House, api: httpx.AsyncClient
) -> None:
    run = await house.agent()
    other = ASK | {"tool_input": {"command": "rm -rf build"}}
    hooks = [house.ask(), house.ask(other)]
    requests = await house.asked(2)
    response = await api.post(f"/api/agents/{run.name}/permissions", json={"decision": "allow"})
    assert response.status_code == 409
    assert all(request.request_id in response.json()["detail"] for request in requests)
    for request in requests:
        await api.post(f"/api/permissions/{request.request_id}", json={"decision": "deny"})
    assert [answer.status_code for answer in await asyncio.gather(*hooks)] == [200, 200]


async def test_an_agent_that_asks_nothing_cannot_be_answered(house: House, api: httpx.AsyncClient) -> None:
    run = await house.agent()
    response = await api.post(f"/api/agents/{run.name}/permissions", json={"decision": "allow"})
    assert response.status_code == 409 and "asks nothing" in response.json()["detail"]
    unknown = await api.post("/api/permissions/perm-ffff", json={"decision": "allow"})
    assert unknown.status_code == 404


async def test_what_was_answered_in_the_terminal_lets_the_hook_go(house: House) -> None:
    await house.agent()
    hook = house.ask()
    (request,) = await house.asked()
    await house.journal.close_permission(request.request_id, PermissionStatus.ANSWERED_ELSEWHERE)
    house.bus.wake()
    assert (await hook).status_code == 204


async def test_asking_the_same_again_while_it_is_open_is_the_same_request(house: House, api: httpx.AsyncClient) -> None:
    await house.agent()
    hooks = [house.ask(), house.ask(ASK | {"prompt_id": "another", "permission_suggestions": []})]
    (request,) = await house.asked()
    await api.post(f"/api/permissions/{request.request_id}", json={"decision": "allow"})
    assert [answer.json()["decision"] for answer in await asyncio.gather(*hooks)] == ["allow", "allow"]
    assert len(await house.journal.permissions(open_only=False)) == 1
    assert await house.kinds() == ["permission.requested", "permission.decided"]


async def test_asking_the_same_again_after_an_answer_is_a_new_request(house: House, api: httpx.AsyncClient) -> None:
    await house.agent()
    ids = []
    for decision in ("allow", "deny", "allow"):
        hook = house.ask()
        (request,) = await house.asked()
        ids.append(request.request_id)
        await api.post(f"/api/permissions/{request.request_id}", json={"decision": decision})
        assert (await hook).json()["decision"] == decision
    assert len(set(ids)) == 3


async def test_two_agents_that_ask_the_same_ask_two_things(house: House) -> None:
    for run_id in (RUN_A, RUN_B):
        await house.agent(run_id)
    hooks = [house.ask(run_id=run_id) for run_id in (RUN_A, RUN_B)]
    requests = await house.asked(2)
    assert {request.run_id for request in requests} == {RUN_A, RUN_B}
    for request in requests:
        await house.control.decide(request.request_id, Verdict(Decision.ALLOW, "test"))
    await asyncio.gather(*hooks)


async def test_a_hook_that_asks_again_after_a_restart_holds_the_same_request(house: House) -> None:
    await house.agent()
    lost = house.ask()
    (before,) = await house.asked()
    lost.cancel()
    await asyncio.wait({lost})
    house.restart()
    hook = house.ask()

    async def decided() -> bool:
        """Refused until the hook is back, for the window shows no dialog."""
        async with house.client() as client:
            answer = await client.post(f"/api/permissions/{before.request_id}", json={"decision": "allow"})
        return answer.status_code == 200

    await eventually(decided, "a decision")
    assert (await hook).json()["decision"] == "allow"
    assert [request.request_id for request in await house.journal.permissions(open_only=False)] == [before.request_id]
    assert await house.kinds() == ["permission.requested", "permission.decided"]


async def open_request_without_hook(house: House) -> str:
    """What a restart leaves: the dialog in the window and the row, and no hook that waits."""
    hook = house.ask()
    (request,) = await house.asked()
    hook.cancel()
    await asyncio.wait({hook})
    house.restart()
    return request.request_id


@pytest.mark.parametrize(("decision", "key"), [("allow", Key.YES), ("deny", Key.ESCAPE)])
async def test_after_a_restart_a_decision_is_a_key_in_the_window(house: House, decision: str, key: Key) -> None:
    run = await house.agent()
    window = house.terminal.of_run(run.run_id)
    window.output = DIALOG
    request_id = await open_request_without_hook(house)
    async with house.client() as client:
        body = {"decision": decision, "reason": "Too early."}
        response = await client.post(f"/api/permissions/{request_id}", json=body)
    assert response.json()["status"] == "decided"
    assert window.pressed == [key] and window.typed == []
    told = [message.text for message in await house.journal.messages(run.run_id)]
    assert told == (
        ["The use of Bash was denied. Too early. Go on without it, or say why you cannot."]
        if decision == "deny"
        else []
    )


@pytest.mark.parametrize(
    "screen",
    [
        "❯ \nidle",
        DIALOG.replace("npm test", "rm -rf /"),
        "npm test\n❯ \nidle",
    ],
    ids=["prompt", "another dialog", "no dialog"],
)
async def test_no_key_is_pressed_unless_the_window_shows_that_very_question(house: House, screen: str) -> None:
    run = await house.agent()
    window = house.terminal.of_run(run.run_id)
    window.output = screen
    request_id = await open_request_without_hook(house)
    async with house.client() as client:
        response = await client.post(f"/api/permissions/{request_id}", json={"decision": "allow"})
    assert response.status_code == 409 and f"attach {run.name}" in response.json()["detail"]
    assert window.pressed == []
    assert (await house.journal.permission(request_id)).status is PermissionStatus.OPEN


async def test_after_a_restart_decisions_at_the_same_time_press_one_key(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await house.agent()
    window = house.terminal.of_run(run.run_id)
    window.output = DIALOG
    request_id = await open_request_without_hook(house)
    capture, all_look = house.terminal.capture, asyncio.Barrier(4)

    async def capture_together(window: WindowRef) -> str:
        await all_look.wait()
        return await capture(window)

    monkeypatch.setattr(house.terminal, "capture", capture_together)
    async with house.client() as client:
        posts = [client.post(f"/api/permissions/{request_id}", json={"decision": "allow"}) for _ in range(4)]
        answers = await asyncio.gather(*posts)
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    assert window.pressed == [Key.YES]


async def test_a_key_that_could_not_be_pressed_leaves_the_request_open(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await house.agent()
    window = house.terminal.of_run(run.run_id)
    window.output = DIALOG
    request_id = await open_request_without_hook(house)

    async def refuse(*_: object) -> None:
        raise TerminalUnavailable("tmux does not answer.")

    async with house.client() as client:
        with monkeypatch.context() as patch:
            patch.setattr(house.terminal, "press", refuse)
            failed = await client.post(f"/api/permissions/{request_id}", json={"decision": "allow"})
        assert failed.status_code == 503
        assert (await house.journal.permission(request_id)).status is PermissionStatus.OPEN
        assert (await client.post(f"/api/permissions/{request_id}", json={"decision": "allow"})).status_code == 200
    assert window.pressed == [Key.YES]


async def test_one_of_two_hooks_that_hangs_up_leaves_the_request_to_the_other(house: House) -> None:
    await house.agent()
    loop = asyncio.get_running_loop()
    gone, there = loop.create_future(), loop.create_future()
    first, second = (
        asyncio.create_task(house.control.hold_permission(RUN_A, token_of(RUN_A), ASK, hung_up))
        for hung_up in (gone, there)
    )
    (request,) = await house.asked()
    gone.set_result(None)
    assert await first is None
    await house.control.decide(request.request_id, Verdict(Decision.ALLOW, "test"))
    answer = await second
    assert answer is not None and answer["decision"] == "allow"


@pytest.fixture
async def hasty() -> House:
    house = House(Profile("hasty", permission_timeout_s=60))
    await house.prepare()
    return house


async def test_a_request_that_nobody_answers_in_time_is_denied(hasty: House) -> None:
    await hasty.agent(profile="hasty")
    hook = hasty.ask()
    (request,) = await hasty.asked()
    assert request.expires_at is not None and (request.expires_at - request.created_at).total_seconds() == 60
    hasty.clock.advance(59)
    hasty.bus.wake()
    assert not hook.done()
    hasty.clock.advance(1)
    hasty.bus.wake()
    assert (await hook).json()["decision"] == "deny"
    assert (await hasty.journal.permission(request.request_id)).status is PermissionStatus.EXPIRED


async def test_a_request_that_outlived_its_daemon_expires_by_a_key(hasty: House) -> None:
    run = await hasty.agent(profile="hasty")
    window = hasty.terminal.of_run(run.run_id)
    window.output = DIALOG
    request_id = await open_request_without_hook(hasty)
    await hasty.control.expire_permissions()
    assert window.pressed == []
    hasty.clock.advance(61)
    for _ in range(2):
        await hasty.control.expire_permissions()
    assert window.pressed == [Key.ESCAPE]
    assert (await hasty.journal.permission(request_id)).status is PermissionStatus.EXPIRED


@pytest.mark.parametrize(
    ("run_id", "token"),
    [
        (RUN_A, None),
        (RUN_A, ""),
        (RUN_A, "x"),
        (RUN_A, token_of(RUN_B)),
        (RUN_A, token_of(RUN_A)[:-1]),
        ("f" * 32, token_of("f" * 32)),
        ("..", token_of("..")),
        (RUN_A[:8], token_of(RUN_A)),
    ],
)
async def test_attack_40_a_forged_hook_changes_nothing(house: House, run_id: str, token: str | None) -> None:
    await house.agent()
    async with house.client(token) as client:
        response = await client.post(f"/internal/hooks/{run_id}/permission", json=ASK)
    assert response.status_code in (403, 404)
    assert await house.journal.permissions(open_only=False) == [] and await house.kinds() == []
    with pytest.raises(Forbidden):
        await house.control.hold_permission(run_id, token, ASK, asyncio.get_running_loop().create_future())


async def test_a_hook_of_an_ended_run_is_refused(house: House) -> None:
    await house.agent(state=RunState.ENDED)
    assert (await house.ask()).status_code == 409


@pytest.mark.parametrize("payload", [{}, {"hook_event_name": "Stop"}, {"tool_name": "Bash", "tool_input": "ls"}])
async def test_a_hook_that_asks_nothing_is_refused(house: House, payload: dict[str, object]) -> None:
    await house.agent()
    response = await house.ask(payload)
    assert response.status_code == 422 and "The body is not a permission request of claude" in response.json()["detail"]
    assert await house.journal.permissions(open_only=False) == []
