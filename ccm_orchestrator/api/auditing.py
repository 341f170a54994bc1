"""Every call that changes something is written down: who, from where, what, and how the thing was before and after.

An entry is durable before its answer is sent. A caller that is not known changes nothing and leaves no entry, so that
strangers cannot fill the log; one that is known leaves one also when it is refused.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated

from fastapi import Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from ccm_orchestrator.api.injection import services_of
from ccm_orchestrator.api.problems import STATUS
from ccm_orchestrator.api.services import ApiServices
from ccm_orchestrator.api.snapshots import Snapshot, snapshot, told
from ccm_orchestrator.domain.audit import AuditEntry, entry_of
from ccm_orchestrator.domain.caller import Caller
from ccm_orchestrator.errors import OrchestratorError, StoreError

log = logging.getLogger(__name__)

FAILED = 500
UNANSWERED = 499
"""Status of a call whose caller went before it was answered."""
HARMLESS = frozenset({"GET", "HEAD", "OPTIONS"})

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(slots=True)
class Note:
    """What an endpoint knows better than the path and the answer tell: what it replaces, what a stream begins."""

    target: str | None = None
    before: Snapshot | None = None
    after: dict[str, object] = field(default_factory=dict)
    kept: int | None = None
    """Status of the answer that the entry tells of, which is stored already, in one commit with the change itself."""


async def _note(request: Request) -> Note:
    note: Note = request.state.note
    return note


Noted = Annotated[Note, Depends(_note)]


async def recorded(caller: Caller, path: str, request: Request, handle: Handler) -> Response:
    """`path` is the route's own, with names for its parameters."""
    services = services_of(request)
    note = request.state.note = Note()
    before = await snapshot(services, path, request.path_params)
    status, response = FAILED, None
    try:
        response = await handle(request)
        status = response.status_code
        return response
    except OrchestratorError as error:
        status = STATUS[type(error)]
        raise
    except HTTPException as error:
        status = error.status_code
        raise
    except RequestValidationError:
        status = 422
        raise
    except asyncio.CancelledError:
        status = UNANSWERED
        raise
    finally:
        if note.kept != status:
            made, place = _made(response)
            after = made | dict(await snapshot(services, path, request.path_params) or {}) | note.after
            action, target = f"{request.method} {path}", note.target or place or str(request.scope["path"])
            await write_down(services, caller, action, target, status, note.before or before, after or None)


async def record_refusal(caller: Caller, path: str, request: Request, error: OrchestratorError) -> None:
    """A known caller that may not do this."""
    status = STATUS[type(error)]
    await write_down(services_of(request), caller, f"{request.method} {path}", request.scope["path"], status)


async def write_down(
    services: ApiServices,
    caller: Caller,
    action: str,
    target: str,
    status: int,
    before: Snapshot | None = None,
    after: Snapshot | None = None,
) -> None:
    """A log that cannot be written stops no one, least of all who wants to stop agents; the daemon's own log has it."""
    entry = entry_of(caller, services.control.now(), action, target, status)
    entry = replace(entry, before=before, after=after)
    try:
        await services.audit.record(entry)
    except StoreError as error:
        log.error("the audit log cannot be written (%s): %s", error.message, _line(entry))


def _made(response: Response | None) -> tuple[dict[str, object], str | None]:
    """What an answer tells of the thing that was made, and where that is. Streams have no body yet."""
    if response is None:
        return {}, None
    place, body = response.headers.get("location"), getattr(response, "body", b"")
    if not body or "json" not in response.headers.get("content-type", ""):
        return {}, place
    return told(json.loads(body)), place


def _line(entry: AuditEntry) -> str:
    """One line, whatever a path holds."""
    return json.dumps(asdict(entry), default=str)
