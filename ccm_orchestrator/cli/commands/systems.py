"""`system list|drain`"""

from __future__ import annotations

from typing import Annotated

import typer

from ccm_orchestrator import __version__
from ccm_orchestrator.cli.connection import connect, segment
from ccm_orchestrator.cli.session import Session, command
from ccm_orchestrator.cli.views.plain import text
from ccm_orchestrator.cli.views.systems import system_table


def add_to(group: typer.Typer) -> None:
    command(group, "list")(list_systems)
    command(group, "drain")(drain)


async def list_systems(
    session: Session,
    store: Annotated[
        str | None, typer.Option(help="`local` or `supabase`; default: `supabase` where it is configured.")
    ] = None,
) -> None:
    """List the machines that run the daemon: what they are, whether they are heard of, how busy they are."""
    async with connect(session.settings) as connection:
        systems = await connection.get("/api/systems", store=store)
        ids = "\n".join(each["system_id"] for each in systems)
        session.show(systems, lambda: system_table(systems, __version__), ids=ids)


async def drain(
    session: Session,
    system: Annotated[str | None, typer.Argument(metavar="SYSTEM", help="Default: this machine.")] = None,
    off: Annotated[bool, typer.Option("--off", help="Let it claim tasks again.")] = False,
) -> None:
    """Let a machine finish what it has and claim nothing new, before it is upgraded or shut down."""
    system_id = system or session.settings.system_id
    async with connect(session.settings) as connection:
        await connection.post(f"/api/systems/{segment(system_id)}/drain", {"draining": not off})
        said = "claims tasks again" if off else "claims nothing new; what it has, it finishes"
        session.show({"system_id": system_id, "draining": not off}, text(f"{system_id} {said}."))
