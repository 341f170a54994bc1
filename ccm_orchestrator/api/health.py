"""/health: whether the daemon lives and does its work. Open on loopback, so it says no more than that."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request, Response

from ccm_orchestrator.api.guards import OpenRoute
from ccm_orchestrator.api.injection import Services
from ccm_orchestrator.api.schemas import HealthOutput, SupabaseHealthOutput
from ccm_orchestrator.api.services import ApiServices
from ccm_orchestrator.api.systems import supabase_health
from ccm_orchestrator.errors import StoreError
from ccm_orchestrator.security.doors import came_by_remote_door
from ccm_orchestrator.security.local import presented_token

router = APIRouter(prefix="/health", tags=["health"], route_class=OpenRoute)

PROBE_TIMEOUT_S = 5.0
NO_ANSWER = f"No answer within {PROBE_TIMEOUT_S:g} s."


@router.get("")
async def health(services: Services, response: Response) -> HealthOutput:
    """An answer at all means alive; 200 means ready, 503 that it is starting or does not get on."""
    return _answer(response, services.options.trouble())


@router.get("/tmux")
async def health_of_tmux(services: Services, request: Request, response: Response) -> HealthOutput:
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            found = await services.terminal.health()
    except TimeoutError:
        return _answer(response, "unavailable", _for_friends(services, request, NO_ANSWER))
    detail = f"{found.version}, {found.windows} windows" if found.ok else found.detail
    return _answer(response, "" if found.ok else "unavailable", _for_friends(services, request, detail))


@router.get("/database")
async def health_of_database(services: Services, request: Request, response: Response) -> HealthOutput:
    """503 while it cannot be read, or took no write when last there was one."""
    trouble, detail = "", None
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            await services.store.counts()
            await services.events.last_seq()
    except StoreError as error:
        trouble, detail = "unavailable", error.message
    except TimeoutError:
        trouble, detail = "unavailable", NO_ANSWER
    else:
        if (refusal := services.options.refusal()) is not None:
            trouble, detail = "unwritable", refusal
    return _answer(response, trouble, _for_friends(services, request, detail))


@router.get("/supabase")
async def health_of_supabase(services: Services, request: Request, response: Response) -> SupabaseHealthOutput:
    """503 while it is away or refuses. Without the API token: only the state, and since when."""
    found = supabase_health(services) or SupabaseHealthOutput(state="off")
    response.status_code = 503 if found.state in ("away", "refused") else 200
    if _is_friend(services, request):
        return found
    return SupabaseHealthOutput(state=found.state, since=found.since)


def _answer(response: Response, trouble: str, detail: str | None = None) -> HealthOutput:
    response.status_code = 503 if trouble else 200
    return HealthOutput(status=trouble or "ok", detail=detail)


def _for_friends(services: Services, request: Request, detail: str | None) -> str | None:
    """Versions and paths are for callers with the API token."""
    return detail if _is_friend(services, request) else None


def _is_friend(services: ApiServices, request: Request) -> bool:
    here = not came_by_remote_door(request.scope)
    return here and services.secrets.api_token.matches(presented_token(request.scope))
