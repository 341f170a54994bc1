"""The application: routers, guards around them, problem documents out of them."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi

from ccm_orchestrator.api import (
    agents,
    approvals,
    audit,
    budget,
    health,
    history,
    incidents,
    internal,
    keys,
    messages,
    metrics,
    notifications,
    problems,
    sessions,
    standing,
    stream,
    systems,
    tasks,
)
from ccm_orchestrator.api.cors import Cors
from ccm_orchestrator.api.examples import add_example
from ccm_orchestrator.api.guards import Guard, GuardedRoute, GuardedSocket
from ccm_orchestrator.api.limits import BodyLimit, OneLength, SecurityHeaders
from ccm_orchestrator.api.live import routes as live
from ccm_orchestrator.api.live import watching
from ccm_orchestrator.api.live.feed import Feed
from ccm_orchestrator.api.live.screens import Screens
from ccm_orchestrator.api.services import ApiServices
from ccm_orchestrator.security.local import LocalOnly

API_VERSION = "1"
ROUTERS: tuple[APIRouter, ...] = (
    tasks.router,
    agents.router,
    sessions.router,
    messages.router,
    standing.router,
    approvals.router,
    stream.router,
    live.router,
    watching.router,
    history.router,
    systems.router,
    audit.router,
    incidents.router,
    budget.router,
    notifications.router,
    keys.router,
    internal.router,
    internal.hooks,
    health.router,
    metrics.router,
)


def create_app(services: ApiServices) -> FastAPI:
    app = bare_app()
    app.state.services = services
    app.state.feed = Feed(services.bus)
    app.state.screens = Screens(services.terminal)
    app.state.hang_up = _nobody  # its server says how
    problems.install(app)
    app.add_middleware(BodyLimit, max_bytes=services.options.max_body_bytes)
    if services.options.origins:
        app.add_middleware(Cors, origins=services.options.origins)
    app.add_middleware(
        LocalOnly,
        extra_hosts=services.options.extra_hosts,
        origins=services.options.origins,
        respond=problems.problem_response,
    )
    if services.count_request is not None:
        app.add_middleware(metrics.CountRequests, count=services.count_request)
    app.add_middleware(OneLength)
    app.add_middleware(SecurityHeaders)  # the outermost
    return app


def bare_app() -> FastAPI:
    """The routes alone, which is all that their description needs."""
    app = FastAPI(
        title="ccm-orchestrator",
        version=API_VERSION,
        openapi_url=None,  # the description is committed; a daemon shows no pages
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # a redirect would repeat the Host that the client sent
    )
    for router in ROUTERS:
        app.router.routes.extend(router.routes)
    return app


def describe() -> dict[str, Any]:
    """The OpenAPI document, as it is committed in `docs/openapi.json`."""
    app = bare_app()
    document = get_openapi(title=app.title, version=app.version, routes=app.routes, description=__doc__)
    document["components"]["securitySchemes"] = {
        guard.value: {"type": "http", "scheme": "bearer"} for guard in Guard if guard is not Guard.OPEN
    }
    document["components"]["schemas"]["Problem"] = problems.schema()
    for route in app.routes:
        if isinstance(route, GuardedSocket):
            continue  # OpenAPI knows no WebSockets
        assert isinstance(route, GuardedRoute), f"{route} declares no guard"
        for method in route.methods or ():
            operation = document["paths"][route.path][method.lower()]
            _describe_operation(operation, route.guard)
            add_example(operation, method, route.path)
    return document


def _nobody(_peer: tuple[str, int]) -> None:
    """There is no connection to drop."""


def document() -> str:
    """The text of `docs/openapi.json`."""
    return json.dumps(describe(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _describe_operation(operation: dict[str, Any], guard: Guard) -> None:
    """Every error is a problem document, and every guarded route says what it wants."""
    reference = {"$ref": "#/components/schemas/Problem"}
    operation["responses"].pop("422", None)
    operation["responses"]["default"] = {
        "description": "Any error, as an RFC 9457 problem document.",
        "content": {problems.MEDIA_TYPE: {"schema": reference}},
    }
    if guard is not Guard.OPEN:
        operation["security"] = [{guard.value: []}]
