"""`audit list`"""

from __future__ import annotations

from typing import Annotated

import typer

from ccm_orchestrator.cli.connection import connect
from ccm_orchestrator.cli.session import Session, command
from ccm_orchestrator.cli.views.audit import audit_table


def add_to(group: typer.Typer) -> None:
    command(group, "list")(list_audit)


async def list_audit(
    session: Session,
    caller: Annotated[str | None, typer.Option(help="Only what this one did.")] = None,
    action: Annotated[str | None, typer.Option(help="Only actions that contain this, such as `stop`.")] = None,
    target: Annotated[str | None, typer.Option(help="Only targets that contain this, such as a task's id.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=500, help="At most so many.")] = 50,
    before: Annotated[int | None, typer.Option(metavar="NUMBER", min=0, help="Only those before this one.")] = None,
) -> None:
    """List what was changed, by whom and from where, newest first. With --json: also how it was before and after."""
    query = {"caller": caller, "action": action, "target": target, "limit": limit, "before": before}
    async with connect(session.settings) as connection:
        page = await connection.get("/api/audit", **query)
        ids = "\n".join(str(entry["seq"]) for entry in page["items"])
        session.show(page, lambda: audit_table(page), ids=ids)
