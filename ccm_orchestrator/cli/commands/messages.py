"""`agent send`"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ccm_orchestrator.cli.commands.standing import run_of
from ccm_orchestrator.cli.connection import connect, segment
from ccm_orchestrator.cli.exits import Exit
from ccm_orchestrator.cli.session import Session, command
from ccm_orchestrator.cli.views.agents import message_line
from ccm_orchestrator.cli.views.plain import plain
from ccm_orchestrator.errors import DaemonUnreachable

if TYPE_CHECKING:
    from ccm_orchestrator.cli.reaching import Connection

LOOK_S = 20.0
"""One question waits for so long; the next one goes on waiting."""
SETTLED = frozenset({"answered", "undelivered", "failed"})


def add_to(group: typer.Typer) -> None:
    command(group, "send")(send)


async def send(
    session: Session,
    agent: Annotated[
        str, typer.Argument(metavar="AGENT", help="A standing agent, an agent's name, its task, or a beginning of one.")
    ],
    message: Annotated[str, typer.Argument(metavar="TEXT", help="What to tell it; `-` reads it from stdin.")],
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Of a standing agent, from this message on.")
    ] = None,
    waits: Annotated[bool, typer.Option("--wait", "-w", help="Wait for the answer, and print it.")] = False,
    timeout_s: Annotated[
        float | None, typer.Option("--timeout", metavar="SECONDS", min=0, help="With --wait: give up after this time.")
    ] = None,
) -> Exit:
    """Send a message. It is typed as soon as no dialog can be open; a standing agent that hibernates is woken by it.

    Without --wait it is only queued: `agent messages` tells what became of it.
    """
    words = sys.stdin.read() if message == "-" else message
    async with connect(session.settings) as connection:
        if waits and not connection.daemon_runs:
            raise DaemonUnreachable("No daemon runs, so nobody would answer: start it with `ccm-orchestrator serve`.")
        found = await connection.agent(agent)
        ref = found["agent_id"] if found["kind"] == "standing" else run_of(found)["run_id"]
        sent = await connection.post(f"/api/agents/{ref}/messages", {"text": words, "model": model})
        if waits:
            sent = await _settled(connection, ref, sent, timeout_s)
        session.show(sent, lambda: _shown(sent), ids=sent["answer"] if waits else sent["message_id"])
        if not connection.daemon_runs:
            session.note("No daemon runs: the message waits until you start `ccm-orchestrator serve`.")
    return _exit_of(sent) if waits else Exit.OK


async def _settled(connection: Connection, ref: str, sent: dict[str, Any], timeout_s: float | None) -> dict[str, Any]:
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    path = f"/api/agents/{segment(ref)}/messages/{sent['message_id']}"
    while sent["status"] not in SETTLED:
        left_s = LOOK_S if deadline is None else min(LOOK_S, deadline - time.monotonic())
        if left_s <= 0:
            break
        sent = await connection.get(path, wait_s=round(left_s, 3))
    return sent


def _shown(sent: dict[str, Any]) -> Any:
    return plain(sent["answer"]) if sent["status"] == "answered" else message_line(sent)


def _exit_of(sent: dict[str, Any]) -> Exit:
    if sent["status"] == "answered":
        return Exit.OK
    return Exit.FAILED if sent["status"] in SETTLED else Exit.TIMEOUT
