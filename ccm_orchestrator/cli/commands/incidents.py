"""`incident list`"""

from __future__ import annotations

from typing import Annotated

import typer

from ccm_orchestrator.cli.connection import connect
from ccm_orchestrator.cli.session import Session, command
from ccm_orchestrator.cli.views.incidents import incident_table


def add_to(group: typer.Typer) -> None:
    command(group, "list")(list_incidents)


async def list_incidents(
    session: Session,
    everything: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=500, help="At most so many.")] = 50,
    before: Annotated[int | None, typer.Option(metavar="NUMBER", min=0, help="Only those before this one.")] = None,
) -> None:
    """List what is wrong with this machine's daemon, newest first."""
    async with connect(session.settings) as connection:
        page = await connection.get("/api/incidents", open_only=not everything, limit=limit, before=before)
        ids = "\n".join(str(incident["seq"]) for incident in page["items"])
        session.show(page, lambda: incident_table(page, everything), ids=ids)
