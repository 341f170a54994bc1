"""Stopping all agents when there is a daemon and it does not answer."""

from __future__ import annotations

import logging
from contextlib import closing
from typing import Any

from ccm_orchestrator.adapters.clock import SystemClock
from ccm_orchestrator.adapters.sqlite.connections import connect_visitor
from ccm_orchestrator.adapters.sqlite.systems import drain
from ccm_orchestrator.adapters.sqlite.translation import translated
from ccm_orchestrator.engine.kill_switch import end_all
from ccm_orchestrator.engine.queues import LOCAL
from ccm_orchestrator.errors import OrchestratorError
from ccm_orchestrator.settings import Settings
from ccm_orchestrator.wiring.building import build_launchpad

log = logging.getLogger(__name__)


async def stop_without_daemon(settings: Settings) -> dict[str, Any]:
    """What `POST /api/stop-all` answers. The tasks are cancelled by the next daemon, which finds the runs condemned."""
    untold = []
    try:
        _drain(settings)
    except OrchestratorError as error:
        log.warning("the database is not told: %s", error.message)
        untold.append(LOCAL)
    ended, surviving = await end_all(build_launchpad(settings), SystemClock())
    return {"agents": ended, "surviving": surviving, "untold": untold}


def _drain(settings: Settings) -> None:
    if not settings.database.exists():
        return
    with translated(settings.database), closing(connect_visitor(settings.database)) as connection:
        drain(connection, settings.system_id, True)
