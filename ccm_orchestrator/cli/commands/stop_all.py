"""`stop-all`"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import typer

from ccm_orchestrator.cli.connection import connect
from ccm_orchestrator.cli.exits import Exit
from ccm_orchestrator.cli.lazily import Heavy, load
from ccm_orchestrator.cli.session import Session, command
from ccm_orchestrator.cli.views.plain import text
from ccm_orchestrator.errors import DaemonUnreachable

CONNECT_S = 3.0
ANSWER_S = 14.0
"""A daemon that does not answer within these is not waited for: the agents are ended from here."""


def add_to(app: typer.Typer) -> None:
    command(app, "stop-all")(stop_all)


async def stop_all(session: Session) -> Exit:
    """Stop every agent of this machine now, and begin nothing new. It works also when the daemon does not."""
    said = await stopped(session)
    ended = ", ".join(said["agents"])
    sentence = f"Ended: {ended}. Their tasks are cancelled." if ended else "No agent was running."
    session.show(said, text(f"{sentence} Nothing new begins until `ccm-orchestrator system drain --off`."))
    if said["surviving"]:
        session.note(f"Some of their processes live on, look at them with `ps`: {', '.join(said['surviving'])}.")
        return Exit.FAILED
    return Exit.OK


async def stopped(session: Session) -> Any:
    """What `POST /api/stop-all` answers, whether the daemon does or not."""
    try:
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(CONNECT_S):
                connection = await stack.enter_async_context(connect(session.settings))
            async with asyncio.timeout(ANSWER_S):
                return await connection.post("/api/stop-all")
    except (DaemonUnreachable, TimeoutError):
        session.note("The daemon does not answer: its agents are ended from here.")
        return await load(Heavy.STOP_WITHOUT_DAEMON)(session.settings)
