"""/spawn, /message, /terminate, /sessions: conversations with an agent whose output is streamed line by line."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import StreamingResponse

from ccm_orchestrator.api.auditing import Noted
from ccm_orchestrator.api.guards import Asker, TokenRoute, needs
from ccm_orchestrator.api.injection import Services
from ccm_orchestrator.api.live.streaming import HEARTBEAT, EventStream
from ccm_orchestrator.api.paging import DEFAULT_LIMIT, After, Limit, Pager
from ccm_orchestrator.api.services import ApiServices
from ccm_orchestrator.api.session_schemas import (
    MessageToSession,
    SessionOutput,
    SessionPage,
    SpawnInput,
    Terminated,
    TurnOutput,
    frame,
)
from ccm_orchestrator.api.stream import RECONNECT_MS
from ccm_orchestrator.api.tasks import IdempotencyKey
from ccm_orchestrator.domain import refusals
from ccm_orchestrator.domain.caller import Caller, Scope
from ccm_orchestrator.domain.session import Position, Session, Turn, read_position
from ccm_orchestrator.domain.task import Task, TaskStatus
from ccm_orchestrator.engine.outputs import Line
from ccm_orchestrator.engine.sessions import Begun
from ccm_orchestrator.errors import InputError, NotFound, SessionNotFound
from ccm_orchestrator.ports.sessions import SessionQuery

router = APIRouter(tags=["sessions"], route_class=TokenRoute)

STUCK = frozenset({TaskStatus.HELD, TaskStatus.WAITING, TaskStatus.ORPHANED})
"""Statuses in which a turn waits for somebody; streams tell of them, and of their end."""
STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Server-sent events, whose `data` is an object with a `type`: `session_created` (`session_id`), "
        "`output` (`data`: one line that the agent wrote, itself JSON), `status` (the turn waits: why), `error` "
        "(`error`: a sentence), and at the end `completed` (`outcome`). `id` is the place to resume from, at "
        "`GET /sessions/{session_id}/output`.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}


@router.post("/spawn", response_class=StreamingResponse, responses=STREAM)
@needs(Scope.SUBMIT)
async def spawn(
    services: Services, caller: Asker, note: Noted, body: SpawnInput, idempotency_key: IdempotencyKey = None
) -> StreamingResponse:
    """Starts an agent and streams what it writes. It works on when the client goes away."""
    begun = await _spawned(services, caller, body, idempotency_key)
    note.after |= _named(begun)
    opening = ""
    if begun.turn.number == 1 and not begun.session.one_shot:
        session_id = begun.session.session_id
        opening = frame("session_created", Position(1, 0), session_id=session_id, task_id=begun.task.task_id)
    return _stream(services, begun.turn, 0, opening + _queued_behind(begun))


@router.post("/message/{session_id}", response_class=StreamingResponse, responses=STREAM)
@needs(Scope.SUBMIT)
async def message(
    services: Services,
    caller: Asker,
    note: Noted,
    session_id: str,
    body: MessageToSession,
    idempotency_key: IdempotencyKey = None,
) -> StreamingResponse:
    """The next turn of a session, which remembers what was said; it waits for those before it."""
    session = await _visible(services, caller, session_id)
    begun = await services.sessions.message(session.session_id, body.turn(), idempotency_key)
    note.after |= _named(begun)
    return _stream(services, begun.turn, 0, _queued_behind(begun))


@router.post("/terminate/{session_id}")
@needs(Scope.CONTROL)
async def terminate(services: Services, caller: Asker, session_id: str, response: Response) -> Terminated:
    """Ends its agent and cancels all that waits. 202: that is still under way. The session can be gone on with."""
    session = await _visible(services, caller, session_id)
    ended = await services.sessions.terminate(session.session_id)
    response.status_code = 200 if ended else 202
    said = "Process terminated successfully" if ended else "Process is being terminated"
    return Terminated(message=said, session_id=session.session_id)


@router.get("/sessions")
async def list_sessions(
    services: Services,
    caller: Asker,
    pager: Pager,
    one_shot: Annotated[bool, Query(description="Also those that take no messages.")] = False,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    before: Annotated[str | None, Query(description="Session id: only sessions begun before that one.")] = None,
) -> SessionPage:
    """Newest first."""
    if before is not None:
        await _visible(services, caller, before)
    query = SessionQuery(caller.owner, one_shot, limit + 1, before)
    found = await services.sessions.store.list(query)
    current = _by_session(await services.sessions.open_turns())
    shown = [SessionOutput.of(session, current.get(session.session_id)) for session in found[:limit]]
    upcoming = shown[-1].session_id if len(found) > limit else None
    if upcoming is not None:
        pager.goes_on(before=upcoming)
    return SessionPage(sessions=shown, next_before=upcoming)


@router.get("/sessions/{session_id}")
async def get_session(services: Services, caller: Asker, session_id: str) -> SessionOutput:
    session = await _visible(services, caller, session_id)
    current = _by_session(await services.sessions.open_turns(session.session_id))
    return SessionOutput.of(session, current.get(session.session_id))


@router.get("/sessions/{session_id}/turns")
async def list_turns(
    services: Services, caller: Asker, pager: Pager, session_id: str, after: After = None, limit: Limit = DEFAULT_LIMIT
) -> list[TurnOutput]:
    """In order."""
    session = await _visible(services, caller, session_id)
    turns = await services.sessions.store.turns(session.session_id)
    turns = pager.part(turns, lambda turn: str(turn.number), after, limit)
    return [TurnOutput.of(turn.number, await services.store.get(turn.task_id)) for turn in turns]


@router.get(
    "/sessions/{session_id}/output",
    response_class=StreamingResponse,
    responses=STREAM
    | {
        204: {"description": "Nothing comes after `Last-Event-ID`: no turn has begun since."},
        410: {"description": "What the agent wrote in that turn is not kept any more."},
    },
)
async def stream_output(
    services: Services,
    caller: Asker,
    session_id: str,
    turn: Annotated[int | None, Query(ge=1, le=10**9, description="None: the last one.")] = None,
    after: Annotated[str | None, Query(description="Start after this id.")] = None,
    last_event_id: Annotated[str | None, Header(description="Sent by clients that reconnect; wins.")] = None,
) -> Response:
    """The output of one turn, from its beginning or from where a stream was cut off, whatever cut it off."""
    session = await _visible(services, caller, session_id)
    wanted = last_event_id if last_event_id is not None else after
    position = Position(turn or session.turns, 0) if wanted is None else _read(wanted)
    if position.line is None:
        position = Position(position.turn + 1, 0)
        if position.turn == session.turns + 1:
            return Response(status_code=204)
    found = await services.sessions.store.turns(session.session_id, position.turn)
    if not found:
        raise NotFound(f"There is no turn {position.turn} in this session; it has {session.turns}.")
    await services.outputs.require(found[0].task_id)
    return _stream(services, found[0], position.line or 0, "")


async def _spawned(services: ApiServices, caller: Caller, body: SpawnInput, key: str | None) -> Begun:
    if body.resume_id is None:
        return await services.sessions.spawn(body.wish(), caller.owner, key)
    try:
        session = await _visible(services, caller, body.resume_id)
    except SessionNotFound:
        known = _uuid(body.resume_id)
        if caller.owner is not None or known is None:
            raise
        return await services.sessions.adopt(known, body.wish(), key)
    return await services.sessions.message(session.session_id, body.turn(), key)


async def _visible(services: ApiServices, caller: Caller, session_id: str) -> Session:
    """Raises: SessionNotFound, also for a session of another user."""
    session = await services.sessions.store.get(_uuid(session_id) or session_id)
    if not caller.sees(session.owner):
        raise refusals.session_not_found(session_id)
    return session


def _uuid(text: str) -> str | None:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return None


def _read(position: str) -> Position:
    read = read_position(position)
    if read is None:
        raise InputError(f"Expected the id of an event of a session such as `1.17`, got: {position[:100]!r}.")
    return read


def _by_session(tasks: Sequence[Task]) -> dict[str, Task]:
    """The first of each: the others wait for it."""
    found: dict[str, Task] = {}
    for task in tasks:
        if task.options is not None and task.options.session_id is not None:
            found.setdefault(task.options.session_id, task)
    return found


def _named(begun: Begun) -> dict[str, object]:
    return {"session_id": begun.session.session_id, "turn": begun.turn.number, "task_id": begun.task.task_id}


def _queued_behind(begun: Begun) -> str:
    if not begun.behind:
        return ""
    return frame("status", None, status="queued", detail=f"It waits for {begun.behind} earlier turns of the session.")


def _stream(services: ApiServices, turn: Turn, after: int, opening: str) -> StreamingResponse:
    headers = {"Content-Location": f"/sessions/{turn.session_id}/output?turn={turn.number}"}
    return EventStream(_frames(services, turn, after, opening), headers)


async def _frames(services: ApiServices, turn: Turn, after: int, opening: str) -> AsyncGenerator[str | bytes, None]:
    """Until the turn has ended, the client goes, or the server stops."""
    stopping: asyncio.Future[Any] = asyncio.ensure_future(services.stopping.wait())
    stuck = False
    try:
        yield f"retry: {RECONNECT_MS}\nid: {Position(turn.number, after)}\n\n{opening}"
        follow = services.outputs.follow(turn.task_id, after, stopping, services.options.heartbeat_s)
        async with aclosing(follow):
            async for output in follow:
                if output is None:
                    yield HEARTBEAT
                elif isinstance(output, Line):
                    yield frame("output", Position(turn.number, output.number), data=output.text)
                elif output.task.status.terminal:
                    yield _end(turn, output.task)
                else:
                    was_stuck, stuck = stuck, output.task.status in STUCK
                    if stuck or was_stuck:
                        yield _status(output.task)
    finally:
        stopping.cancel()


def _status(task: Task) -> str:
    return frame("status", None, status=task.status.value, detail=task.hold.detail if task.hold else None)


def _end(turn: Turn, task: Task) -> str:
    result = task.result
    failure = result.failure if result else None
    error = ""
    if task.status is not TaskStatus.SUCCEEDED:
        sentence = failure.message if failure else f"The turn was {task.status.value}."
        error = frame("error", None, error=sentence, failure_kind=failure.kind.value if failure else None)
    return error + frame(
        "completed",
        Position(turn.number, None),
        session_id=turn.session_id,
        turn=turn.number,
        task_id=task.task_id,
        outcome=task.status.value,
        cost_usd=result.usage.cost_usd if result else None,
    )
