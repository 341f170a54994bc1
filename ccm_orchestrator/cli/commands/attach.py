"""`attach`"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from typing import Annotated, Any

import typer

from ccm_orchestrator.cli.commands.standing import run_of
from ccm_orchestrator.cli.connection import connect
from ccm_orchestrator.cli.session import Session, command
from ccm_orchestrator.cli.views.tasks import short_id
from ccm_orchestrator.errors import InputError, TmuxMissing


def add_to(app: typer.Typer) -> None:
    command(app, "attach")(attach)


async def attach(
    session: Session,
    agent: Annotated[
        str | None,
        typer.Argument(metavar="AGENT", help="Agent or task; default: the one that was started last."),
    ] = None,
    print_only: Annotated[bool, typer.Option("--print", help="Print the command instead of running it.")] = False,
) -> None:
    """Look over an agent's shoulder, and type to it if you like. Detach with Ctrl-b d: the agent goes on."""
    async with connect(session.settings) as connection:
        found = run_of(await connection.agent(agent) if agent else newest(await connection.get("/api/agents")))
    argv: list[str] = found["attach"]
    if print_only or session.as_json:
        session.show({"agent": found["agent"], "attach": argv}, lambda: typer.echo(shlex.join(argv)))
        return
    require_window(found)
    if not sys.stdin.isatty():
        raise InputError("attach needs a terminal; `agent screen` prints what the agent's window shows.")
    if shutil.which("tmux") is None:
        raise TmuxMissing
    os.execvp(argv[0], argv)


def require_window(agent: dict[str, Any]) -> None:
    """Raises: InputError when there is nothing to look at."""
    if agent["run_state"] == "ended":
        ending = agent["ending"].rstrip(".") or "no reason was recorded"
        raise InputError(
            f"{agent['agent']} has no window any more, it has ended ({ending}); "
            f"`ccm-orchestrator logs {short_id(agent['task_id'])}` tells what it did."
        )
    if not agent["window_id"]:
        raise InputError(f"{agent['agent']} has no window yet: it is being started.")


def newest(agents: list[dict[str, Any]]) -> dict[str, Any]:
    """The list's first; the others are a `Ctrl-b w` away. Raises: InputError when there is none."""
    if not agents:
        raise InputError("No agent lives; `ccm-orchestrator agent list --all` lists those that have ended.")
    return agents[0]
