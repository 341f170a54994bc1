"""/ws and /ws/{ref}: live, both ways."""

from __future__ import annotations

from fastapi import APIRouter, WebSocket
from pydantic import Field, ValidationError

from ccm_orchestrator.api.access import EventSight
from ccm_orchestrator.api.guards import Guard, GuardedSocket, admit, caller_of
from ccm_orchestrator.api.injection import services_of
from ccm_orchestrator.api.live.cursors import start
from ccm_orchestrator.api.live.finding import subject_of
from ccm_orchestrator.api.live.frames import TASK_TYPES, FrameType
from ccm_orchestrator.api.live.socket import SUBPROTOCOL, LiveSocket, Wish
from ccm_orchestrator.api.live.subjects import Everything, Subject
from ccm_orchestrator.api.problems import problem_of_validation
from ccm_orchestrator.api.schemas import MAX_SEQ, Input
from ccm_orchestrator.domain.caller import Caller, Scope
from ccm_orchestrator.errors import InputError


class SocketQuery(Input):
    after: int | None = Field(default=None, ge=0, le=MAX_SEQ)
    """Start after this cursor; 0: with all that is kept; None: with what comes now."""
    types: list[FrameType] | None = None
    """Only these; None: what the route is for."""
    batch: bool = False
    """Messages are JSON arrays of frames: for listeners with much to read."""
    screen: bool = False
    """Also what the agent's window shows, as it changes."""


async def live_everything(websocket: WebSocket) -> None:
    """What becomes of all tasks; with `types` also what their agents do."""
    query = _query(websocket)
    wish = Wish(frozenset(query.types or TASK_TYPES), query.batch)
    await _serve(websocket, Everything(EventSight(services_of(websocket), caller_of(websocket))), query, wish)


async def live_agent(websocket: WebSocket) -> None:
    """One agent, task or session: what it does goes out; messages, answers and interrupts come in."""
    query = _query(websocket)
    subject = await subject_of(services_of(websocket), caller_of(websocket), websocket.path_params["ref"])
    wish = Wish(frozenset(query.types) if query.types else None, query.batch, query.screen)
    await _serve(websocket, subject, query, wish)


router = APIRouter()
router.routes += [GuardedSocket("/ws", live_everything), GuardedSocket("/ws/{ref}", live_agent)]


async def _serve(websocket: WebSocket, subject: Subject, query: SocketQuery, wish: Wish) -> None:
    services = services_of(websocket)
    if websocket.scope["subprotocols"] and SUBPROTOCOL not in websocket.scope["subprotocols"]:
        raise InputError(f"Expected `{SUBPROTOCOL}` to be among the subprotocols offered.")

    async def admitted() -> Caller:
        return await admit(Guard.API_TOKEN, Scope.READ, websocket)

    begin = await start(services.events, query.after)
    socket = LiveSocket(websocket, services, subject, wish, admitted)
    with services.rates.streaming(caller_of(websocket)):
        await socket.serve(websocket.app.state.feed, begin.cursor, begin.resync)


def _query(websocket: WebSocket) -> SocketQuery:
    """Raises: InputError."""
    given = websocket.query_params
    values: dict[str, object] = dict(given)
    if "types" in given:
        values["types"] = [name for text in given.getlist("types") for name in text.split(",")]
    try:
        return SocketQuery.model_validate(values)
    except ValidationError as error:
        raise InputError(f"query.{problem_of_validation(error.errors()).detail}") from None
