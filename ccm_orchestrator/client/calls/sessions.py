"""Sessions: conversations with an agent whose output is streamed line by line."""

from __future__ import annotations

from collections.abc import Sequence

from ccm_orchestrator.client.call import Call, Page, get, nothing, once, one, paged, post
from ccm_orchestrator.client.conversations import Session, SessionEvent, Terminated, Turn
from ccm_orchestrator.client.decoding import decode
from ccm_orchestrator.client.following import Stream
from ccm_orchestrator.client.paths import path
from ccm_orchestrator.client.sse import Frame


def spawn(
    prompt: str,
    *,
    project: str | None = None,
    profile: str | None = None,
    agent_type: str | None = None,
    create_session: bool = True,
    resume_id: str | None = None,
    flags: Sequence[str] | None = None,
    tools_allowed: Sequence[str] | None = None,
    system_append: str | None = None,
    model: str | None = None,
    time_limit_s: float | None = None,
    budget_usd: float | None = None,
    idempotency_key: str | None = None,
) -> Stream[SessionEvent]:
    """Starts an agent and yields what it writes, until its turn has ended, over as many connections as that takes.

    The agent works on when nobody reads. `create_session`: messages can follow. Raises: InvalidTask and its kin,
    QueueFull, SessionNotFound, DaemonUnreachable (absent for `absence_s`).
    """
    body = {
        "project": project,
        "profile": profile,
        "agent_type": agent_type,
        "create_session": create_session,
        "resume_id": resume_id,
        **_turn(prompt, flags, tools_allowed, system_append, model, time_limit_s, budget_usd),
    }
    return _stream(once(post("/spawn", nothing, _given(body)), idempotency_key))


def message(
    session_id: str,
    prompt: str,
    *,
    flags: Sequence[str] | None = None,
    tools_allowed: Sequence[str] | None = None,
    system_append: str | None = None,
    model: str | None = None,
    time_limit_s: float | None = None,
    budget_usd: float | None = None,
    idempotency_key: str | None = None,
) -> Stream[SessionEvent]:
    """The next turn of a session, which waits for those before it. Raises: SessionNotFound, WrongStatus, QueueFull."""
    body = _turn(prompt, flags, tools_allowed, system_append, model, time_limit_s, budget_usd)
    return _stream(once(post(path("/message/{}", session_id), nothing, _given(body)), idempotency_key))


def output(session_id: str, *, turn: int | None = None, after: str | None = None) -> Stream[SessionEvent]:
    """One turn (None: the last one) from its beginning, or after the `id` of an event. Raises: SessionNotFound."""
    return _stream(get(path("/sessions/{}/output", session_id), nothing, turn=turn, after=after))


def terminate(session_id: str) -> Call[Terminated]:
    """Ends its agent and cancels all that waits; the session can be gone on with. Raises: NotFound (nothing runs)."""
    return post(path("/terminate/{}", session_id), one(Terminated))


def find(*, one_shot: bool = False, before: str | None = None, limit: int | None = None) -> Call[Page[Session]]:
    """Newest first; with `one_shot` also those that take no messages."""
    return paged("/sessions", Session, one_shot=one_shot, before=before, limit=limit)


def show(session_id: str) -> Call[Session]:
    """Raises: SessionNotFound."""
    return get(path("/sessions/{}", session_id), one(Session))


def turns(session_id: str, *, after: int | None = None, limit: int | None = None) -> Call[Page[Turn]]:
    """In order. Raises: SessionNotFound."""
    return paged(path("/sessions/{}/turns", session_id), Turn, after=after, limit=limit)


def _turn(
    prompt: str,
    flags: Sequence[str] | None,
    tools_allowed: Sequence[str] | None,
    system_append: str | None,
    model: str | None,
    time_limit_s: float | None,
    budget_usd: float | None,
) -> dict[str, object]:
    return {
        "prompt": prompt,
        "flags": None if flags is None else list(flags),
        "tools_allowed": None if tools_allowed is None else list(tools_allowed),
        "system_append": system_append,
        "model": model,
        "time_limit_s": time_limit_s,
        "budget_usd": budget_usd,
    }


def _given(body: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in body.items() if value is not None}


def _stream(call: Call[None]) -> Stream[SessionEvent]:
    return Stream(call, _read, is_last=lambda frame: frame.event == "completed")


def _read(frame: Frame) -> SessionEvent:
    return decode(SessionEvent, {**frame.json(), "id": frame.id})
