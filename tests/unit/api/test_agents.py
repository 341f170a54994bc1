"""Agents over HTTP: what they do and why we believe it, their screens, messages to them, ending them."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import Any

import httpx
import pytest

from ccm_orchestrator.domain.agent import AgentState, AgentView, Dialog, Evidence, Signal, Source
from ccm_orchestrator.domain.dialogue import MAX_MESSAGE_BYTES, MessageStatus
from ccm_orchestrator.domain.run import Mode, RunState
from ccm_orchestrator.domain.task import TaskStatus
from tests.api_house import RUN_A, RUN_B, House


async def test_agents_are_listed_with_their_state_task_and_how_to_attach(house: House, api: httpx.AsyncClient) -> None:
    first, second = await house.agent(RUN_A), await house.agent(RUN_B)
    now = house.clock.now()
    await house.journal.save_views({RUN_B: AgentView(AgentState.WORKING, now, None, now)})
    listed = (await api.get("/api/agents")).json()
    assert [(agent["agent"], agent["state"]) for agent in listed] == [
        (second.name, "working"),
        (first.name, "unknown"),
    ]
    assert listed[1]["title"] == "Fix the test" and listed[1]["task_status"] == "running"
    assert listed[1]["attach"] == list(house.terminal.attach_argv(first.window))


async def test_ended_agents_are_listed_when_asked_for(house: House, api: httpx.AsyncClient) -> None:
    run = await house.agent()
    await house.journal.save_run(replace(run, state=RunState.ENDED, ending="The agent was killed."), 0)
    assert (await api.get("/api/agents")).json() == []
    (ended,) = (await api.get("/api/agents", params={"ended": True})).json()
    assert ended["ending"] == "The agent was killed."


@pytest.mark.parametrize("ref", ["name", "run_id", "task_id", "prefix"])
async def test_an_agent_has_many_names(house: House, api: httpx.AsyncClient, ref: str) -> None:
    run = await house.agent()
    known = {"name": run.name, "run_id": run.run_id, "task_id": run.task_id, "prefix": run.run_id[:5]}
    assert (await api.get(f"/api/agents/{known[ref]}")).json()["run_id"] == run.run_id


async def test_a_state_is_explained_by_its_evidence_and_its_age(house: House, api: httpx.AsyncClient) -> None:
    run = await house.agent()
    seen = house.clock.now()
    evidence = Evidence(Source.HOOK, Signal.ASKED, seen, "permission")
    view = AgentView(AgentState.WAITING, seen, evidence, seen, Dialog.PERMISSION, frozenset({"toolu_1"}))
    await house.journal.save_views({run.run_id: view})
    house.clock.advance(42)
    body = (await api.get(f"/api/agents/{run.name}/state", params={"explain": 1})).json()
    explained = body["explanation"]
    assert body["state"] == explained["state"] == "waiting"
    assert explained["evidence"] == {
        "source": "hook",
        "signal": "asked",
        "detail": "permission",
        "at": "2026-01-01T00:00:00Z",
        "age_s": 42.0,
    }
    assert explained["tools_running"] == ["toolu_1"] and explained["background_work"] is False
    assert explained["sentence"] == (
        "It waits for a person: a permission dialog is open; known from a hook of the agent (asked), 42 s ago."
    )
    assert (await api.get(f"/api/agents/{run.name}/state")).json()["explanation"] is None


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (RunState.INTENDED, "Its window is being opened; nothing was observed yet."),
        (RunState.RUNNING, "It was adopted and has not been observed yet; nothing was observed yet."),
        (RunState.ENDED, "The run ended: no reason was recorded."),
    ],
)
async def test_what_was_never_observed_is_said_to_be_unknown(
    house: House, api: httpx.AsyncClient, state: RunState, words: str
) -> None:
    run = await house.agent(state=state)
    body = (await api.get(f"/api/agents/{run.name}/state", params={"explain": 1})).json()
    assert body["explanation"]["sentence"] == words and body["explanation"]["evidence"] is None


async def test_a_screen_is_shown_with_as_much_history_as_asked(house: House, api: httpx.AsyncClient) -> None:
    run = await house.agent()
    house.terminal.of_run(run.run_id).output = "\n".join(f"line {n}" for n in range(60))
    shown = (await api.get(f"/api/agents/{run.name}/screen")).json()
    more = (await api.get(f"/api/agents/{run.name}/screen", params={"history_lines": 10})).json()
    assert shown["agent"] == run.name
    assert shown["text"].splitlines()[0] == "line 10" and more["text"].splitlines()[0] == "line 0"


async def test_a_screen_that_is_not_there_is_said_to_be_so(house: House, api: httpx.AsyncClient) -> None:
    gone, unborn = await house.agent(RUN_A), await house.agent(RUN_B, window=None)
    house.terminal.end(gone.run_id)
    assert (await api.get(f"/api/agents/{gone.name}/screen")).status_code == 410
    assert (await api.get(f"/api/agents/{unborn.name}/screen")).status_code == 409
    house.terminal.unavailable = True
    hidden = await api.get(f"/api/agents/{gone.name}/screen")
    assert hidden.status_code == 503 and "tmux does not answer" in hidden.json()["detail"]


async def test_a_message_is_queued_durably_and_the_orchestrator_is_poked(house: House, api: httpx.AsyncClient) -> None:
    run = await house.agent()
    response = await api.post(f"/api/agents/{run.name}/messages", json={"text": "text;\n`$(touch x)`"})
    assert (response.status_code, response.json()["status"]) == (202, "queued")
    (message,) = await house.journal.messages(run.run_id)
    assert message.text == "text;\n`$(touch x)`"
    assert (await house.kinds(), house.pokes) == (["agent.message"], 1)
    assert house.terminal.of_run(run.run_id).typed == []
    assert (await api.get(f"/api/agents/{run.name}/messages")).json() == [response.json()]


@pytest.mark.parametrize("text", ["", " \n\t", "\x1b\x00", "x" * (MAX_MESSAGE_BYTES + 1)])
async def test_a_message_that_says_nothing_or_too_much_is_refused(
    house: House, api: httpx.AsyncClient, text: str
) -> None:
    run = await house.agent()
    response = await api.post(f"/api/agents/{run.name}/messages", json={"text": text})
    assert response.status_code == 422
    assert "The message is" in response.json()["detail"]
    assert await house.journal.messages(run.run_id) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"state": RunState.ENDED, "ending": "It was done."}, "ccm-aaaaaaaa has ended: It was done."),
        ({"mode": Mode.PRINT}, "print mode, which takes no messages"),
    ],
)
async def test_an_agent_that_takes_no_messages_gets_none(
    house: House, api: httpx.AsyncClient, changes: dict[str, Any], words: str
) -> None:
    run = await house.agent(**changes)
    response = await api.post(f"/api/agents/{run.name}/messages", json={"text": "Go on"})
    assert response.status_code == 409 and words in response.json()["detail"]
    assert await house.journal.messages(run.run_id) == []


async def test_a_message_to_a_run_that_ends_meanwhile_is_undelivered_and_refused(
    house: House, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await house.agent()
    add_message = house.journal.add_message

    async def add_as_the_run_ends(run_id: str, text: str, message_id: str | None = None) -> object:
        await house.journal.save_run(replace(run, state=RunState.ENDED), 0)
        return await add_message(run_id, text, message_id)

    monkeypatch.setattr(house.journal, "add_message", add_as_the_run_ends)
    response = await api.post(f"/api/agents/{run.name}/messages", json={"text": "Go on"})
    assert response.status_code == 409
    (message,) = await house.journal.messages(run.run_id)
    assert message.status is MessageStatus.UNDELIVERED


async def test_stopping_an_agent_cancels_its_task(house: House, api: httpx.AsyncClient) -> None:
    run = await house.agent()
    response = await api.post(f"/api/agents/{run.name}/stop")
    assert response.status_code == 202 and response.json()["cancel_requested_at"] is not None
    assert house.launchpad.runs[run.run_id].received == [] and house.pokes == 1


async def test_stopping_a_superseded_agent_leaves_the_newer_claim_alone(house: House, api: httpx.AsyncClient) -> None:
    run = await house.agent()
    await house.journal.save_run(replace(run, fence=run.fence - 1), 0)
    assert (await api.post(f"/api/agents/{run.name}/stop")).status_code == 409
    assert (await house.store.get(run.task_id)).cancel_requested_at is None


@pytest.mark.parametrize("kill", [False, True])
async def test_a_kill_is_a_cancelled_task_first(house: House, kill: bool) -> None:
    run = await house.agent()
    async with house.client(token="internal-canary-" + "b" * 40) as internal:
        response = await internal.post("/internal/kill-agent", json={"agent": run.name, "kill": kill})
    assert response.status_code == 202
    assert (await house.store.get(run.task_id)).cancel_requested_at is not None
    assert house.launchpad.runs[run.run_id].received == ([signal.SIGKILL] if kill else [])


async def test_other_programs_spawn_and_look_at_agents(house: House) -> None:
    async with house.client(token="internal-canary-" + "b" * 40) as internal:
        spawned = await internal.post("/internal/spawn-agent", json={"project": "blog", "prompt": "Fix it"})
        run = await house.agent()
        everyone = await internal.get("/internal/agent-status")
        one = await internal.get("/internal/agent-status", params={"agent": run.name})
    assert spawned.status_code == 202 and spawned.json()["source"] == "internal"
    assert (await house.store.get(spawned.json()["task_id"])).status in (TaskStatus.QUEUED, TaskStatus.RUNNING)
    assert [agent["agent"] for agent in everyone.json()] == [run.name]
    assert everyone.json()[0]["explanation"] is None
    assert one.json()[0]["explanation"]["state"] == "unknown"


@pytest.mark.parametrize("path", ["", "/state", "/screen", "/messages", "/permissions"])
async def test_an_unknown_agent_is_not_found(api: httpx.AsyncClient, path: str) -> None:
    response = await api.get(f"/api/agents/ccm-ffffffff{path}")
    assert response.status_code == 404
    assert response.json()["type"] == "urn:ccm-orchestrator:problem:run-not-found"
