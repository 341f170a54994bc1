"""Who may call a route. Every route says so by its class, and is refused before its body is read."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from enum import StrEnum
from typing import Any, ClassVar

from fastapi import Request, Response
from fastapi.routing import APIRoute

from ccm_orchestrator.api.services import services_of
from ccm_orchestrator.errors import Forbidden, NotFound, Unauthenticated
from ccm_orchestrator.security.local import peer_is_loopback, presented_token


class Guard(StrEnum):
    OPEN = "open"
    """Any program of this machine; says no more than whether the daemon works."""
    API_TOKEN = "api_token"
    INTERNAL_SECRET = "internal_secret"
    RUN_TOKEN = "run_token"
    """The secret of the run that the path names."""


class GuardedRoute(APIRoute):
    guard: ClassVar[Guard]

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            admit(self.guard, request)
            return await handle(request)

        return guarded


class OpenRoute(GuardedRoute):
    guard = Guard.OPEN


class TokenRoute(GuardedRoute):
    guard = Guard.API_TOKEN


class InternalRoute(GuardedRoute):
    guard = Guard.INTERNAL_SECRET


class HookRoute(GuardedRoute):
    guard = Guard.RUN_TOKEN


def admit(guard: Guard, request: Request) -> None:
    """Raises: Unauthenticated, Forbidden, NotFound (internal routes do not exist for other machines)."""
    if not peer_is_loopback(request.scope):
        if guard in (Guard.INTERNAL_SECRET, Guard.RUN_TOKEN):
            raise NotFound("Not Found")
        raise Forbidden("This daemon serves its own machine only.")
    services, token = services_of(request), presented_token(request.scope)
    match guard:
        case Guard.OPEN:
            return
        case Guard.RUN_TOKEN:
            services.control.check_run_token(request.path_params["run_id"], token)
        case Guard.API_TOKEN if not services.secrets.api_token.matches(token):
            raise Unauthenticated()
        case Guard.INTERNAL_SECRET if not services.secrets.internal.matches(token):
            raise Unauthenticated("The request does not carry the internal secret.")
