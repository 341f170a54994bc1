"""How endpoints are given what they work with."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from ccm_orchestrator.api.services import ApiServices


def services_of(connection: HTTPConnection) -> ApiServices:
    services: ApiServices = connection.app.state.services
    return services


async def _services(connection: HTTPConnection) -> ApiServices:
    """Async, though it waits for nothing: FastAPI would call a plain function in a thread, which takes longer than the
    whole answer."""
    return services_of(connection)


Services = Annotated[ApiServices, Depends(_services)]
