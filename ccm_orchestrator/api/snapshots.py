"""What the audit log keeps of a thing: its state in a few words, never its texts, which may be long or secret."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping

from ccm_orchestrator.api.services import ApiServices
from ccm_orchestrator.domain.standing_agent import StandingAgent
from ccm_orchestrator.domain.task import Task
from ccm_orchestrator.errors import OrchestratorError

PATIENCE_S = 2.0
"""A store that is away keeps nobody waiting for an entry of the log."""
Snapshot = Mapping[str, object]
Look = Callable[[ApiServices, str], Awaitable[Snapshot | None]]

TOLD = frozenset(
    {
        "agent",
        "agents",
        "draining",
        "expires_at",
        "key_id",
        "kind",
        "message_id",
        "model",
        "name",
        "owner",
        "path",
        "prefix",
    }
    | {"profile", "project", "request_id", "rule_id", "run_id", "scopes", "session_id", "state", "status", "surviving"}
    | {"task_id", "untold"}
)
"""What is taken over from an answer: what names a thing or its state."""


async def _task(services: ApiServices, ref: str) -> Snapshot:
    queue, task = await services.queues.find(ref)
    return {
        "task_id": task.task_id,
        "store": queue.name,
        "status": task.status,
        "attempt": task.attempt,
        "cancel_requested": task.cancel_requested_at is not None,
        "hold": task.hold.reason if task.hold else None,
    }


def standing_snapshot(agent: StandingAgent) -> Snapshot:
    told = ("agent_id", "name", "owner", "wanted", "profile", "model", "idle_s", "time_limit_s", "budget_usd")
    return {
        **{name: getattr(agent, name) for name in told},
        "allowed_tools": None if agent.allowed_tools is None else list(agent.allowed_tools),
        "system_prompt": hashlib.sha256(agent.system_prompt.encode()).hexdigest()[:12] if agent.system_prompt else None,
    }


async def _agent(services: ApiServices, ref: str) -> Snapshot:
    standing = await services.standing.lookup(ref)
    if standing is not None:
        return standing_snapshot(standing)
    status = await services.control.agent(ref)
    return {
        "run_id": status.run.run_id,
        "task_id": status.run.task_id,
        "run_state": status.run.state,
        "state": status.view.state,
        "task_status": status.task.status if status.task else None,
        "cancel_requested": bool(status.task and status.task.cancel_requested_at),
    }


async def _permission(services: ApiServices, ref: str) -> Snapshot:
    request = await services.control.permission(ref)
    verdict = request.verdict
    return {
        "request_id": request.request_id,
        "run_id": request.run_id,
        "tool_name": request.tool_name,
        "status": request.status,
        "decision": verdict.decision if verdict else None,
        "decided_by": verdict.decided_by if verdict else None,
        "reason": verdict.reason if verdict else None,
        "scope": verdict.scope if verdict else None,
        "rule_ids": list(verdict.rule_ids) if verdict else [],
    }


async def _approval_rule(services: ApiServices, ref: str) -> Snapshot:
    rule = await services.control.approvals.get(ref)
    names = ("rule_id", "decision", "tool", "path", "command", "project", "profile", "task_id", "owner", "created_by")
    return {name: getattr(rule, name) for name in names}


async def project_snapshot(services: ApiServices, name: str) -> Snapshot | None:
    found = next((project for project in await services.store.projects() if project.name == name), None)
    return {"name": found.name, "path": str(found.path), "profile": found.profile} if found else None


async def _system(services: ApiServices, system_id: str) -> Snapshot | None:
    found = next((system for system in await services.store.systems() if system.system_id == system_id), None)
    return {"system_id": found.system_id, "draining": found.draining} if found else None


async def _key(services: ApiServices, ref: str) -> Snapshot:
    key = await services.keys.find(ref)
    return {
        "key_id": key.key_id,
        "name": key.name,
        "prefix": key.prefix,
        "expires_at": key.expires_at.isoformat() if key.expires_at else None,
        "revoked": key.revoked_at is not None,
    }


async def _session(services: ApiServices, session_id: str) -> Snapshot:
    session = await services.sessions.store.get(session_id)
    waiting = await services.sessions.open_turns(session_id)
    return {
        "session_id": session.session_id,
        "project": session.project,
        "turns": session.turns,
        "status": waiting[0].status if waiting else "idle",
        "task_id": waiting[0].task_id if waiting else None,
    }


LOOKS: Mapping[str, Look] = {
    "tasks/{task_id}": _task,
    "agents/{agent}": _agent,
    "hooks/{run_id}": _agent,
    "keys/{key}": _key,
    "message/{session_id}": _session,
    "permissions/{request_id}": _permission,
    "approval-rules/{rule_id}": _approval_rule,
    "projects/{name}": project_snapshot,
    "systems/{system_id}": _system,
    "terminate/{session_id}": _session,
}
"""By the part of a route that names a thing."""

_NAMES_A_THING = re.compile(r"([^/{}]+/\{(\w+)\})")


def thing_named_by(path: str) -> tuple[str, str] | None:
    """`/api/tasks/{task_id}/stop` → (`tasks/{task_id}`, `task_id`); None: the route makes something new."""
    found = _NAMES_A_THING.search(path)
    return (found[1], found[2]) if found else None


async def snapshot(services: ApiServices, path: str, parameters: Mapping[str, str]) -> Snapshot | None:
    """Of what the route at `path` names; None: nothing, or it cannot be seen at the moment."""
    named = thing_named_by(path)
    look = LOOKS.get(named[0]) if named else None
    if named is None or look is None:
        return None
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await look(services, parameters[named[1]])
    except (OrchestratorError, TimeoutError):
        return None


def created(task: Task) -> dict[str, object]:
    """Of a new task: what is told of the answer to the call that made it."""
    names = ("task_id", "project", "profile", "status", "model")
    return {name: value for name in names if (value := getattr(task, name)) is not None}


def told(answer: object) -> dict[str, object]:
    """Of the answer to a call."""
    if not isinstance(answer, Mapping):
        return {}
    return {name: value for name, value in answer.items() if name in TOLD and isinstance(value, str | int | list)}
