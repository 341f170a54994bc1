"""`project add|list|show|trust|remove`"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ccm_orchestrator.cli.connection import connect, segment
from ccm_orchestrator.cli.exits import Exit
from ccm_orchestrator.cli.questions import agreed
from ccm_orchestrator.cli.session import Session, command
from ccm_orchestrator.cli.views.plain import text
from ccm_orchestrator.cli.views.projects import project_report, project_table, trust_report
from ccm_orchestrator.errors import InputError

if TYPE_CHECKING:
    from ccm_orchestrator.cli.reaching import Connection

ProjectName = Annotated[str, typer.Argument(metavar="NAME", help="Name of the project.")]


def add_to(group: typer.Typer) -> None:
    command(group, "add")(add)
    command(group, "list")(list_projects)
    command(group, "show")(show)
    command(group, "trust")(trust)
    command(group, "remove")(remove)


async def add(
    session: Session,
    path: Annotated[Path, typer.Argument(metavar="DIRECTORY", help="Default: the current directory.")] = Path(),
    name: Annotated[str | None, typer.Option(help="Default: the directory's own name.")] = None,
    profile: Annotated[str | None, typer.Option(help="Profile of tasks that name none.")] = None,
    trusted: Annotated[
        bool, typer.Option("--trust", help="Approve what its own files make agents do, without asking.")
    ] = False,
) -> None:
    """Register a directory as a project: agents may then work in it. Asks before its own hooks and settings count."""
    body = {"path": str(path.expanduser().resolve()), "name": name, "profile": profile}
    async with connect(session.settings) as connection:
        project = await connection.post("/api/projects", body)
        line = text("Project ").append_text(text(project["name"], "bold")).append_text(text(f" is {project['path']}"))
        session.show(project, line, ids=project["name"])
        await review(session, connection, project["name"], trusted)


async def review(
    session: Session, connection: Connection, name: str, trusted: bool = False, may_ask: bool = True
) -> bool:
    """Shows what the files of a project would do and asks whether they may; what the answer was."""
    report = await connection.get(f"/api/projects/{segment(name)}/trust")
    if report["approved"]:
        return True
    if not (session.quiet or session.as_json):
        session.err.print(trust_report(report))
    if not trusted and may_ask and _asks(session):
        trusted = agreed("Do you approve that?", default=False, err=True)
    if trusted:
        await _approve(connection, report)
        session.note(f"What the files of project {name} do is approved.")
    else:
        session.note(
            f"That is not approved, so tasks of project {name} are held. Approve it with "
            f"`ccm-orchestrator project trust {name}`."
        )
    return trusted


async def list_projects(session: Session) -> None:
    """List the registered projects."""
    async with connect(session.settings) as connection:
        projects = await connection.get("/api/projects")
        session.show(projects, lambda: project_table(projects), ids="\n".join(each["name"] for each in projects))


async def show(session: Session, name: ProjectName) -> None:
    """Show a project, what its own files make agents do, and whether that is approved."""
    async with connect(session.settings) as connection:
        report = await connection.get(f"/api/projects/{segment(name)}/trust")
        projects = {each["name"]: each for each in await connection.get("/api/projects")}
        project = projects[name]
        session.show(project | {"trust": report}, lambda: project_report(project, report), ids=name)


async def trust(
    session: Session,
    name: ProjectName,
    fingerprint: Annotated[
        str | None, typer.Option(help="Approve only if the files are as they were when this was shown.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> Exit:
    """Approve what a project's own files make agents do, and release the tasks that wait for it."""
    async with connect(session.settings) as connection:
        report = await connection.get(f"/api/projects/{segment(name)}/trust")
        if not (session.quiet or session.as_json):
            session.err.print(trust_report(report))
        if not (yes or fingerprint or report["approved"]):
            if not _asks(session):
                raise InputError("There is nobody to ask: run it at a terminal, or with --yes or --fingerprint.")
            if not agreed("Do you approve that?", default=False, err=True):
                session.note("Nothing was approved.")
                return Exit.FAILED
        approved = await _approve(connection, report | {"fingerprint": fingerprint or report["fingerprint"]})
        line = text(f"Project {name} is approved.")
        if approved["released"]:
            line.append_text(text(f" Released: {', '.join(each[:8] for each in approved['released'])}."))
        session.show(approved, line, ids="\n".join(approved["released"]))
        for store in approved["untold"]:
            session.note(f"The store {store} could not be asked: release what waits there with `task release`.")
        return Exit.OK


async def remove(session: Session, name: ProjectName) -> None:
    """Forget a project. Its directory is not touched."""
    async with connect(session.settings) as connection:
        await connection.delete(f"/api/projects/{segment(name)}")
        session.show({"removed": name}, text(f"Project {name} is not registered any more."))


async def _approve(connection: Connection, report: dict[str, Any]) -> dict[str, Any]:
    """Raises: WrongStatus when the files have changed since they were shown."""
    body = {"fingerprint": report["fingerprint"]}
    approved: dict[str, Any] = await connection.post(f"/api/projects/{segment(report['project'])}/trust", body)
    return approved


def _asks(session: Session) -> bool:
    return sys.stdin.isatty() and not (session.as_json or session.quiet)
