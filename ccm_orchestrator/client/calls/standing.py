"""Standing agents, whose conversation outlives their processes. Messages to them go by `agents.send`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import Enum

from ccm_orchestrator.client.call import MARGIN_S, Call, Page, get, once, one, paged, patch, post
from ccm_orchestrator.client.conversations import Chat, StandingAgent
from ccm_orchestrator.client.paths import path


class Unchanged(Enum):
    UNCHANGED = "unchanged"


UNCHANGED = Unchanged.UNCHANGED


def create(
    name: str,
    *,
    project: str | None = None,
    profile: str | None = None,
    model: str | None = None,
    system_prompt: str = "",
    allowed_tools: Sequence[str] | None = None,
    idle_s: float | None = None,
    time_limit_s: float | None = None,
    budget_usd: float | None = None,
    isolated: bool = True,
    started: bool = True,
    message: str | None = None,
) -> Call[StandingAgent]:
    """It has no process before its first message. Raises: InvalidTask and its kin, WrongStatus (the name is taken)."""
    body = {
        "name": name,
        "project": project,
        "profile": profile,
        "model": model,
        "system_prompt": system_prompt,
        "allowed_tools": None if allowed_tools is None else list(allowed_tools),
        "idle_s": idle_s,
        "time_limit_s": time_limit_s,
        "budget_usd": budget_usd,
        "isolated": isolated,
        "started": started,
        "message": message,
    }
    return post("/api/agents", one(StandingAgent), {key: value for key, value in body.items() if value is not None})


def find(
    *,
    terminated: bool = False,
    project: str | None = None,
    profile: str | None = None,
    before: str | None = None,
    limit: int | None = None,
) -> Call[Page[StandingAgent]]:
    """Newest first; with `terminated` also those that were deleted. `before` is an `agent_id`."""
    return paged(
        "/api/agents",
        StandingAgent,
        kind="standing",
        ended=terminated,
        project=project,
        profile=profile,
        before=before,
        limit=limit,
    )


def show(agent: str) -> Call[StandingAgent]:
    """By name or id. Raises: RunNotFound."""
    return get(path("/api/agents/{}", agent), one(StandingAgent))


def change(
    agent: str,
    *,
    profile: str | Unchanged = UNCHANGED,
    model: str | Unchanged | None = UNCHANGED,
    system_prompt: str | Unchanged = UNCHANGED,
    allowed_tools: Sequence[str] | Unchanged | None = UNCHANGED,
    idle_s: float | Unchanged = UNCHANGED,
    time_limit_s: float | Unchanged | None = UNCHANGED,
    budget_usd: float | Unchanged | None = UNCHANGED,
) -> Call[StandingAgent]:
    """From its next process on; None: as its profile has it. Raises: NotFound, InvalidTask and its kin, WrongStatus."""
    tools = allowed_tools if allowed_tools in (None, UNCHANGED) else list(allowed_tools)
    body = {
        "profile": profile,
        "model": model,
        "system_prompt": system_prompt,
        "allowed_tools": tools,
        "idle_s": idle_s,
        "time_limit_s": time_limit_s,
        "budget_usd": budget_usd,
    }
    given = {key: value for key, value in body.items() if value is not UNCHANGED}
    return patch(path("/api/agents/{}", agent), one(StandingAgent), given)


def start(agent: str) -> Call[StandingAgent]:
    """It takes messages again; one that failed tries again. Raises: NotFound, WrongStatus."""
    return replace(post(path("/api/agents/{}/start", agent), one(StandingAgent)), repeatable=True)


def stop(agent: str) -> Call[StandingAgent]:
    """Its process ends, its conversation stays, and it takes no messages until it is started. Raises: NotFound."""
    return replace(post(path("/api/agents/{}/stop", agent), one(StandingAgent)), repeatable=True)


def delete(agent: str) -> Call[StandingAgent]:
    """Ends it for good. Work that is nowhere else is kept, and `detail` says where. Raises: NotFound."""
    return Call("DELETE", path("/api/agents/{}", agent), one(StandingAgent))


def chat(
    message: str,
    *,
    agent: str | None = None,
    project: str | None = None,
    model: str | None = None,
    wait_s: float = 120.0,
    idempotency_key: str | None = None,
) -> Call[Chat]:
    """Says something and waits for the answer; the agent is made when it is not there yet."""
    body = {"message": message, "agent": agent, "project": project, "model": model, "wait_s": wait_s}
    given = {key: value for key, value in body.items() if value is not None}
    return replace(once(post("/api/chat", one(Chat), given), idempotency_key), patience_s=wait_s + MARGIN_S)
