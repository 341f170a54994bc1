"""`project add|list|remove`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ccm_orchestrator.cli.connection import connect, segment
from ccm_orchestrator.cli.session import Session, command
from ccm_orchestrator.cli.views.plain import text
from ccm_orchestrator.cli.views.projects import project_table


def add_to(group: typer.Typer) -> None:
    command(group, "add")(add)
    command(group, "list")(list_projects)
    command(group, "remove")(remove)


async def add(
    session: Session,
    path: Annotated[Path, typer.Argument(metavar="DIRECTORY", help="Default: the current directory.")] = Path(),
    name: Annotated[str | None, typer.Option(help="Default: the directory's own name.")] = None,
    profile: Annotated[str | None, typer.Option(help="Profile of tasks that name none.")] = None,
) -> None:
    """Register a directory as a project. That makes it trusted: agents may then work in it."""
    body = {"path": str(path.expanduser().resolve()), "name": name, "profile": profile}
    async with connect(session.settings) as connection:
        project = await connection.post("/api/projects", body)
        line = text("Project ").append_text(text(project["name"], "bold")).append_text(text(f" is {project['path']}"))
        session.show(project, line, ids=project["name"])


async def list_projects(session: Session) -> None:
    """List the registered projects."""
    async with connect(session.settings) as connection:
        projects = await connection.get("/api/projects")
        session.show(projects, lambda: project_table(projects), ids="\n".join(each["name"] for each in projects))


async def remove(
    session: Session, name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the project.")]
) -> None:
    """Forget a project. Its directory is not touched."""
    async with connect(session.settings) as connection:
        await connection.delete(f"/api/projects/{segment(name)}")
        session.show({"removed": name}, text(f"Project {name} is not registered any more."))
