"""`budget show`"""

from __future__ import annotations

import typer

from ccm_orchestrator.cli.connection import connect
from ccm_orchestrator.cli.session import Session, command
from ccm_orchestrator.cli.views.budget import budget_report


def add_to(group: typer.Typer) -> None:
    command(group, "show")(show)


async def show(session: Session) -> None:
    """Show what agents of this machine have used today, by project, beside the budget of the configuration."""
    async with connect(session.settings) as connection:
        day = await connection.get("/api/budget")
        session.show(day, lambda: budget_report(day))
