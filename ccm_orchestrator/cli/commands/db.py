"""`db migrate|status|sql`"""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Group

from ccm_orchestrator.adapters.supabase import migrations
from ccm_orchestrator.cli.lazily import Heavy, load
from ccm_orchestrator.cli.session import Session, command
from ccm_orchestrator.cli.views.plain import text
from ccm_orchestrator.errors import InvalidSettings
from ccm_orchestrator.security.secrets import Secret

VARIABLE = "CCM_SUPABASE_DATABASE_URL"

DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        "--database-url",
        envvar=VARIABLE,
        metavar="URL",
        help="Connection string of the database (dashboard: Connect); better given by the variable, "
        "which other users of this machine cannot see.",
    ),
]


def add_to(group: typer.Typer) -> None:
    command(group, "migrate")(migrate)
    command(group, "status")(status)
    command(group, "sql")(sql)


async def migrate(session: Session, database_url: DatabaseUrl = None) -> None:
    """Bring the tables and functions of a Supabase database up to date. Safe to repeat."""
    done = list(load(Heavy.MIGRATE)(_secret(database_url)))
    said = Group(*(text(f"Applied {name}.") for name in done)) if done else text("The database is up to date.")
    session.show({"applied": done}, said, ids="\n".join(done))


async def status(session: Session, database_url: DatabaseUrl = None) -> None:
    """Show which migrations a Supabase database has, and which it lacks."""
    schema = load(Heavy.READ_SCHEMA)(_secret(database_url))
    lines = [text(f"{name}  applied") for name in schema.applied]
    lines += [text(f"{name}  pending", "yellow") for name in schema.pending]
    if schema.pending:
        lines.append(text("Run `ccm-orchestrator db migrate`."))
    data = {"applied": list(schema.applied), "pending": list(schema.pending)}
    session.show(data, Group(*lines), ids="\n".join(schema.pending))


async def sql(
    session: Session,
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME...", help="Only these. Default: all.")] = None,
    pending: Annotated[bool, typer.Option("--pending", help="Only those that the database lacks.")] = False,
    database_url: DatabaseUrl = None,
) -> None:
    """Print the migrations as SQL, for the dashboard's SQL editor or `psql`. Without --pending nothing is asked."""
    chosen = names or list(migrations.shipped_migrations())
    if pending:
        lacking = load(Heavy.READ_SCHEMA)(_secret(database_url)).pending
        chosen = [name for name in chosen if name in lacking]
    script = migrations.script(chosen)
    session.show({"names": chosen, "sql": script}, lambda: typer.echo(script, nl=False), ids="\n".join(chosen))


def _secret(database_url: str | None) -> Secret:
    if not database_url:
        raise InvalidSettings(
            f"Give the connection string of the database: {VARIABLE} or --database-url. "
            "The dashboard shows it under Connect."
        )
    return Secret(database_url)
