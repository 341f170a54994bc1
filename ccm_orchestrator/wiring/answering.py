"""The API, loaded when everything that no program has to wait for runs: FastAPI and the schemas of some sixty routes
take half as long as the rest of the daemon's start."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from ccm_orchestrator.api.app import create_app
from ccm_orchestrator.api.server import ApiServer
from ccm_orchestrator.api.services import ApiServices
from ccm_orchestrator.security.doors import RemoteAddress
from ccm_orchestrator.settings import Settings


def build_server(
    services: ApiServices, settings: Settings, remote: RemoteAddress | None, listeners: Sequence[socket.socket]
) -> ApiServer:
    return ApiServer(create_app(services), settings.api.host, settings.api.port, remote, listeners)
