"""`service …`"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from ccm_orchestrator.cli.exits import Exit
from ccm_orchestrator.cli.lazily import Heavy, load
from ccm_orchestrator.cli.session import Session, command
from ccm_orchestrator.cli.views.services import service_report

System = Annotated[
    bool, typer.Option("--system", help="Of the machine, begun before anybody logs in (as root), not of the login.")
]


def add_to(group: typer.Typer) -> None:
    command(group, "install")(install)
    command(group, "uninstall")(uninstall)
    command(group, "restart")(restart)
    command(group, "status")(status)


async def install(
    session: Session,
    system: System = False,
    files_only: Annotated[
        bool, typer.Option("--files-only", help="Only write the service's files; what runs goes on as it was begun.")
    ] = False,
) -> None:
    """Run the daemon from now on, and from each start of the machine. Repeating it changes only what differs."""
    manager = _manager(session, system)
    done = manager.write_files() if files_only else manager.install()
    said = list(done) or [
        "The files are so already." if files_only else "Everything was installed so already; it runs."
    ]
    session.show({"done": said}, "\n".join(said))


async def uninstall(
    session: Session,
    system: System = False,
    with_agents: Annotated[
        bool, typer.Option("--with-agents", help="Also end the tmux server and its agents.")
    ] = False,
) -> None:
    """Stop the daemon and forget the service. Data and configuration stay, and so do agents."""
    done = _manager(session, system).uninstall(with_agents)
    said = list(done) or ["There was no service."]
    session.show({"done": said}, "\n".join(said))


async def restart(session: Session, system: System = False) -> None:
    """Start the daemon anew. Agents go on, and it takes them over."""
    _manager(session, system).restart()
    session.show({"done": ["Restarted."]}, "Restarted; agents were not touched.")


async def status(session: Session, system: System = False) -> Exit:
    """Show what the service manager says. Exits with 3 when the daemon's service does not run."""
    found = _manager(session, system).status()
    session.show(asdict(found), lambda: service_report(asdict(found), system))
    return Exit.OK if found.daemon == "active" else Exit.UNREACHABLE


def _manager(session: Session, system: bool) -> Any:
    return load(Heavy.SERVICE_MANAGER)(session.settings, session.config, system)
