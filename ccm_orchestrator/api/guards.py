"""Who may call a route. Every route says so by its class, and is refused before its body is read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from enum import StrEnum
from typing import Annotated, Any, ClassVar, TypeVar

from fastapi import Depends, Request, Response, WebSocket
from fastapi.routing import APIRoute
from starlette.requests import HTTPConnection
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocketState

from ccm_orchestrator.api.auditing import HARMLESS, record_refusal, recorded
from ccm_orchestrator.api.injection import services_of
from ccm_orchestrator.api.problems import problem_response
from ccm_orchestrator.api.services import ApiServices
from ccm_orchestrator.domain.caller import NOBODY, Caller, CallerKind, Scope
from ccm_orchestrator.errors import Forbidden, NotFound, OrchestratorError, Unauthenticated
from ccm_orchestrator.security.doors import came_by_remote_door
from ccm_orchestrator.security.local import peer_is_loopback, presented_token


class Guard(StrEnum):
    OPEN = "open"
    """Any program of this machine; says no more than whether the daemon works."""
    API_TOKEN = "api_token"
    INTERNAL_SECRET = "internal_secret"
    RUN_TOKEN = "run_token"
    """The secret of the run that the path names."""


Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


def needs(scope: Scope) -> Callable[[Endpoint], Endpoint]:
    """Declares, right above an endpoint, what its caller must be allowed to do. Without it: `read`, and GET only."""

    def declare(endpoint: Endpoint) -> Endpoint:
        endpoint.__dict__["needed_scope"] = scope
        return endpoint

    return declare


class GuardedRoute(APIRoute):
    guard: ClassVar[Guard]

    @property
    def scope_needed(self) -> Scope:
        """What the caller of a route with `Guard.API_TOKEN` must be allowed to do."""
        scope: Scope | None = getattr(self.endpoint, "needed_scope", None)
        if scope is None and self.guard is Guard.API_TOKEN and self.methods != {"GET"}:
            raise AssertionError(f"{self.path} changes something and declares no scope")
        return scope or Scope.READ

    @property
    def changes_something(self) -> bool:
        return not set(self.methods or ()) <= HARMLESS and self.guard is not Guard.OPEN

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle, scope, changes = super().get_route_handler(), self.scope_needed, self.changes_something

        async def guarded(request: Request) -> Response:
            request.state.caller, request.state.scope_needed = NOBODY, scope
            try:
                request.state.caller = await admit(self.guard, scope, request)
            except Forbidden as error:
                if changes and caller_of(request) is not NOBODY:
                    await record_refusal(caller_of(request), self.path, request, error)
                raise
            if changes:
                return await recorded(caller_of(request), self.path, request, handle)
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


class GuardedSocket(WebSocketRoute):
    """A WebSocket, refused with a problem document before the upgrade is made."""

    guard: ClassVar[Guard] = Guard.API_TOKEN
    scope_needed: ClassVar[Scope] = Scope.READ
    """To listen; what a client sends over it may need more."""

    def __init__(self, path: str, endpoint: Callable[[WebSocket], Awaitable[None]]) -> None:
        """What `endpoint` raises of ours before it accepts is the refusal."""

        async def guarded(websocket: WebSocket) -> None:
            try:
                websocket.state.caller = await admit(self.guard, self.scope_needed, websocket)
                await endpoint(websocket)
            except OrchestratorError as error:
                if websocket.application_state is not WebSocketState.CONNECTING:
                    raise
                await websocket.send_denial_response(problem_response(error))

        super().__init__(path, guarded, name=endpoint.__name__)


def caller_of(connection: HTTPConnection) -> Caller:
    caller: Caller = connection.state.caller
    return caller


async def _caller(connection: HTTPConnection) -> Caller:
    return caller_of(connection)


Asker = Annotated[Caller, Depends(_caller)]
"""Who made the request; by the time an endpoint runs, it has the scope that the route needs."""


async def admit(guard: Guard, scope: Scope, request: HTTPConnection) -> Caller:
    """Raises: Unauthenticated, Forbidden, NotFound (internal routes do not exist for other machines)."""
    remote, near = came_by_remote_door(request.scope), peer_is_loopback(request.scope)
    if guard in (Guard.INTERNAL_SECRET, Guard.RUN_TOKEN) and (remote or not near):
        raise NotFound("Not Found")
    if not remote and not near:
        raise Forbidden("This daemon serves its own machine only.")
    services, token = services_of(request), presented_token(request.scope)
    source = request.client.host if request.client else ""
    match guard:
        case Guard.OPEN:
            return NOBODY
        case Guard.RUN_TOKEN:
            run_id = request.path_params["run_id"]
            services.control.check_run_token(run_id, token)
            return Caller(CallerKind.RUN, run_id, source=source)
        case Guard.INTERNAL_SECRET:
            if not services.secrets.internal.matches(token):
                raise Unauthenticated("The request does not carry the internal secret.")
            return Caller(CallerKind.INTERNAL, "internal", frozenset({Scope.ADMIN}), source=source)
        case Guard.API_TOKEN:
            caller = request.state.caller = await _known(services, token, source, remote)
            if not caller.may(scope):
                raise Forbidden(f"This needs the scope `{scope}`, which the credential {caller.name} does not have.")
            return caller


async def _known(services: ApiServices, token: str | None, source: str, remote: bool) -> Caller:
    """Raises: Unauthenticated, Forbidden, TooManyRequests, IdentityUnavailable."""
    if remote:
        services.rates.arrived(source)
    try:
        caller = await services.identity.caller(token, source, from_here=not remote)
    except Unauthenticated:
        services.rates.failed(source)
        raise
    services.rates.called(caller)
    return caller
