"""Agents: look at them, talk to them, answer them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ccm_orchestrator.client.answers import Agent, Message, Screen, Task
from ccm_orchestrator.client.call import MARGIN_S, Call, Page, get, nothing, once, one, paged, post
from ccm_orchestrator.client.decoding import decode
from ccm_orchestrator.client.following import Stream
from ccm_orchestrator.client.paths import path
from ccm_orchestrator.client.sse import Frame
from ccm_orchestrator.domain.dialogue import AnswerScope, PermissionRequest


def find(
    *,
    ended: bool = False,
    task_id: str | None = None,
    project: str | None = None,
    profile: str | None = None,
    before: str | None = None,
    limit: int | None = None,
) -> Call[Page[Agent]]:
    """Newest first; with `ended` also those that live no more. `before`: only those older than this agent."""
    return paged(
        "/api/agents",
        Agent,
        ended=ended,
        task_id=task_id,
        project=project,
        profile=profile,
        before=before,
        limit=limit,
    )


def show(agent: str) -> Call[Agent]:
    """By agent name (`ccm-1f3c9a2b`), run id, task id, or a unique prefix. Raises: RunNotFound."""
    return get(path("/api/agents/{}", agent), one(Agent))


def explain(agent: str) -> Call[Agent]:
    """With `explanation`: since when it is in its state, on which evidence, how old that is. Raises: RunNotFound."""
    return get(path("/api/agents/{}/state", agent), one(Agent), explain=True)


def screen(agent: str, *, history_lines: int = 0, styled: bool = False) -> Call[Screen]:
    """What a person would see in its window, with escape sequences if `styled`. Raises: RunNotFound, WindowGone."""
    return get(path("/api/agents/{}/screen", agent), one(Screen), history_lines=history_lines, styled=styled)


def watch(agent: str, *, styled: bool = False) -> Stream[Screen]:
    """Its screen as it is, then each time it has changed, until its window is closed. Raises: RunNotFound."""
    call = get(path("/api/agents/{}/screen/stream", agent), nothing, styled=styled)
    return Stream(call, _read_screen, is_last=lambda frame: frame.event == "gone")


def stop(agent: str) -> Call[Task]:
    """Cancels its task, which ends the agent. Raises: RunNotFound, WrongStatus."""
    return post(path("/api/agents/{}/stop", agent), one(Task))


def messages(agent: str, *, before: str | None = None, limit: int | None = None) -> Call[Page[Message]]:
    """The newest, oldest first, with their receipts; the next page has older ones. Raises: RunNotFound."""
    return paged(path("/api/agents/{}/messages", agent), Message, before=before, limit=limit)


def message(agent: str, message_id: str, *, wait_s: float = 0.0) -> Call[Message]:
    """With `wait_s`, as soon as nothing more will become of it. Raises: RunNotFound, MessageNotFound."""
    call = get(path("/api/agents/{}/messages/{}", agent, message_id), one(Message), wait_s=wait_s)
    return replace(call, patience_s=wait_s + MARGIN_S)


def send(
    agent: str, text: str, *, model: str | None = None, wait_s: float = 0.0, idempotency_key: str | None = None
) -> Call[Message]:
    """Queued: typed as soon as no dialog can be open; its status tells what became of it within `wait_s`.

    `model` is for standing agents. Sent again when the answer gets lost, and never typed twice. Raises: RunNotFound.
    """
    body = {"text": text, "wait_s": wait_s} | ({"model": model} if model else {})
    call = once(post(path("/api/agents/{}/messages", agent), one(Message), body), idempotency_key)
    return replace(call, patience_s=wait_s + MARGIN_S)


def permissions(
    agent: str | None = None, *, closed: bool = False, after: str | None = None, limit: int | None = None
) -> Call[Page[PermissionRequest]]:
    """What agents ask, oldest first; with `closed` also what is settled. Raises: RunNotFound."""
    where = "/api/permissions" if agent is None else path("/api/agents/{}/permissions", agent)
    return paged(where, PermissionRequest, closed=closed, after=after, limit=limit)


def permission(request_id: str) -> Call[PermissionRequest]:
    """By its id or a unique prefix. Raises: PermissionNotFound."""
    return get(path("/api/permissions/{}", request_id), one(PermissionRequest))


def allow(
    request_id: str,
    *,
    answers: Mapping[str, str] | None = None,
    updated_input: Mapping[str, Any] | None = None,
    scope: AnswerScope | str = AnswerScope.ONCE,
    rule: Mapping[str, str] | None = None,
) -> Call[PermissionRequest]:
    """The first answer wins. `answers` of a question: question → answer; `rule`: what a wider `scope` covers.

    Raises: PermissionNotFound, WrongStatus, InputError.
    """
    answer = {"answers": answers, "updated_input": updated_input, "scope": str(scope), "rule": rule}
    return _decide(request_id, decision="allow", **answer)


def deny(
    request_id: str,
    *,
    reason: str = "",
    scope: AnswerScope | str = AnswerScope.ONCE,
    rule: Mapping[str, str] | None = None,
) -> Call[PermissionRequest]:
    """The first answer wins. The agent is told the reason. Raises: PermissionNotFound, WrongStatus."""
    return _decide(request_id, decision="deny", reason=reason, scope=str(scope), rule=rule)


def _read_screen(frame: Frame) -> Screen | None:
    return decode(Screen, frame.json()) if frame.event == "screen" else None


def _decide(request_id: str, **answer: object) -> Call[PermissionRequest]:
    given = {name: value for name, value in answer.items() if value not in (None, "")}
    return post(path("/api/permissions/{}", request_id), one(PermissionRequest), given)
