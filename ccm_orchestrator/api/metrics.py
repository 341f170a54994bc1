"""/metrics: figures of this machine for Prometheus, guarded like everything that tells of tasks."""

from __future__ import annotations

import time

from fastapi import APIRouter
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ccm_orchestrator.api.guards import Asker, TokenRoute
from ccm_orchestrator.api.injection import Services
from ccm_orchestrator.api.services import CountRequest
from ccm_orchestrator.errors import Forbidden

router = APIRouter(tags=["metrics"], route_class=TokenRoute)

NO_ROUTE = "none"
MEDIA_TYPE = "text/plain; version=0.0.4"


@router.get("/metrics", response_class=Response, responses={200: {"content": {MEDIA_TYPE: {}}}})
async def get_metrics(services: Services, caller: Asker) -> Response:
    """In Prometheus' text format. For credentials that see the whole machine: the local token, and API keys without an
    owner."""
    if caller.owner is not None:
        raise Forbidden("The metrics tell of everybody's tasks: use an API key that belongs to no user.")
    return Response(await services.metrics(), headers={"Content-Type": f"{MEDIA_TYPE}; charset=utf-8"})


class CountRequests:
    """Tells of each answer as it begins, by its route's template: paths have ids in them."""

    def __init__(self, app: ASGIApp, count: CountRequest) -> None:
        self._app = app
        self._count = count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_at = time.perf_counter()

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = scope.get("route")
                name: str = route.path if route is not None else NO_ROUTE
                method = scope["method"] if route is not None else NO_ROUTE
                self._count(method, name, message["status"], time.perf_counter() - began_at)
            await send(message)

        await self._app(scope, receive, counted)
