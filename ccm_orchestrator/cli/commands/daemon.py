"""`serve`, `demo`, `status`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ccm_orchestrator.cli.connection import connect
from ccm_orchestrator.cli.exits import Exit
from ccm_orchestrator.cli.lazily import Heavy, load
from ccm_orchestrator.cli.serving import refused
from ccm_orchestrator.cli.session import Session, command
from ccm_orchestrator.cli.views.status import status_report
from ccm_orchestrator.errors import OrchestratorError

MOST_INCIDENTS = 20
"""So many open ones are told of: `incident list` has all."""


def add_to(app: typer.Typer) -> None:
    app.command("serve")(serve)
    app.command("demo")(demo)
    command(app, "status")(status)


def serve(
    ctx: typer.Context,
    host: Annotated[str | None, typer.Option(help="Instead of `api.host`.")] = None,
    port: Annotated[int | None, typer.Option(help="Instead of `api.port`.")] = None,
    expose: Annotated[bool, typer.Option("--expose", help="Let other machines in, as `[remote]` says.")] = False,
    max_agents: Annotated[int | None, typer.Option(help="Instead of `max_agents`.")] = None,
    log_level: Annotated[str | None, typer.Option(help="Instead of `log.level`.")] = None,
) -> None:
    """Run the daemon in the foreground. Stop it with Ctrl-C: agents go on, and the next daemon takes them over."""
    given: dict[str, Any] = {
        "api": {"host": host, "port": port},
        "remote": {"expose": True if expose else None},
        "max_agents": max_agents,
        "log": {"level": log_level},
    }
    try:
        settings = load(Heavy.LOAD_SETTINGS)(ctx.obj, without_none(given))
        raise typer.Exit(load(Heavy.SERVE)(settings))
    except OrchestratorError as error:
        raise typer.Exit(refused(error, ctx.obj)) from error


def without_none(values: dict[str, Any]) -> dict[str, Any]:
    """Flags that were given."""
    nested = {name: without_none(value) if isinstance(value, dict) else value for name, value in values.items()}
    return {name: value for name, value in nested.items() if value not in (None, {})}


def demo(
    claude: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Claude Code to use; default: the one on PATH.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the sandbox behind for a look around.")] = False,
) -> None:
    """Run the main job once with a scripted model: no login, no internet, and nothing of yours is touched."""
    raise typer.Exit(load(Heavy.DEMO)(claude, keep))


async def status(session: Session) -> Exit:
    """Show how the daemon and the queue are. Exits with 3 when no daemon runs."""
    async with connect(session.settings) as connection:
        found = await connection.get("/api/status")
        agents = await connection.get("/api/agents")
        systems = await connection.get("/api/systems", store="local")
        incidents = (await connection.get("/api/incidents", open_only=True, limit=MOST_INCIDENTS))["items"]
        found |= {
            "daemon": "running" if connection.daemon_runs else "stopped",
            "draining": any(each["draining"] for each in systems if each["system_id"] == found["system_id"]),
            "incidents": [each["kind"] for each in incidents],
        }
        url = session.settings.api_url if connection.daemon_runs else None
        session.show(found, lambda: status_report(found, agents, url))
        return Exit.OK if connection.daemon_runs else Exit.UNREACHABLE
