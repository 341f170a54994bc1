"""`uninstall`"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from ccm_orchestrator.cli.commands.stop_all import stopped
from ccm_orchestrator.cli.connection import connect
from ccm_orchestrator.cli.exits import Exit
from ccm_orchestrator.cli.lazily import Heavy, load
from ccm_orchestrator.cli.questions import agreed
from ccm_orchestrator.cli.session import Session, command
from ccm_orchestrator.cli.views.plain import text
from ccm_orchestrator.errors import InputError, OrchestratorError

COMMAND_STAYS = (
    "The command itself stays: remove it by what installed it (`./install.sh --uninstall`, "
    "`uv tool uninstall ccm-orchestrator`, `pipx uninstall ccm-orchestrator`)."
)
MOST_AGENTS = 500


def add_to(app: typer.Typer) -> None:
    command(app, "uninstall")(uninstall)


@dataclass(slots=True)
class Removal:
    """What is to go."""

    services: Sequence[Any]
    agents: list[str]
    ends_agents: bool
    data: Sequence[Path]
    done: list[str] = field(default_factory=list)

    def sentences(self) -> list[str]:
        said = [f"Stop and remove the {kept.name}." for kept in self.services] or ["There is no service to remove."]
        if self.agents:
            what = "End" if self.ends_agents else "Leave running"
            said.append(f"{what} {len(self.agents)} agents: {', '.join(self.agents)}.")
        if self.ends_agents and not self.services:
            said.append("End the tmux server, unless somebody has a window of their own in it.")
        return said + [f"Remove {path}, and all that is in it." for path in self.data]


async def uninstall(
    session: Session,
    purge: Annotated[
        bool, typer.Option("--purge", help="Also remove configuration, secrets, tasks, results and logs.")
    ] = False,
    with_agents: Annotated[bool, typer.Option("--with-agents", help="Also end agents that run.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be removed.")] = False,
) -> Exit:
    """Remove the services. Configuration, data and agents stay, unless told otherwise."""
    removal = await _planned(session, purge, with_agents)
    said = removal.sentences()
    if dry_run:
        session.show({"would": said}, text("\n".join(said)))
        return Exit.OK
    _agree(session, said, yes)
    await _carry_out(session, removal)
    session.show({"done": removal.done}, text("\n".join([*removal.done, "", *_staying(session, removal)])))
    return Exit.OK


async def _planned(session: Session, purge: bool, with_agents: bool) -> Removal:
    """Raises: InputError when that cannot be done as it is."""
    settings = session.settings
    data = load(Heavy.DATA_OF)(settings, session.config) if purge else []
    agents = await _agents(session)
    if purge and agents and not with_agents:
        raise InputError(
            f"Agents still work with what would be removed: {', '.join(agents)}. Wait for them, or add --with-agents, "
            "which ends them and cancels their tasks."
        )
    return Removal(load(Heavy.KEPT_SERVICES)(settings, session.config), agents, with_agents, data)


async def _agents(session: Session) -> list[str]:
    """Those that run. No database is made to find that there are none."""
    if not session.settings.database.exists():
        return []
    async with connect(session.settings) as connection:
        return [agent["agent"] for agent in await connection.get("/api/agents", limit=MOST_AGENTS)]


def _agree(session: Session, said: Sequence[str], yes: bool) -> None:
    """Raises: InputError when there is nobody to ask, or somebody who does not want it."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise InputError("There is nobody to ask: run it at a terminal, or with --yes. --dry-run shows what it does.")
    session.err.print(text("\n".join(said)))
    if not agreed("\nGo ahead?", default=False, err=True):
        raise InputError("Nothing was removed.")


async def _carry_out(session: Session, removal: Removal) -> None:
    """Agents first: a daemon that lives cancels their tasks. Raises: OrchestratorError; it may be repeated."""
    if removal.ends_agents and removal.agents:
        ended = await stopped(session)
        if ended["surviving"]:
            raise OrchestratorError(f"Some processes live on, end them first: {', '.join(ended['surviving'])}.")
        removal.done.append(f"Ended {', '.join(ended['agents'])}; their tasks are cancelled.")
    for kept in removal.services:
        removal.done += kept.manager.uninstall(removal.ends_agents)
    if removal.data:
        load(Heavy.REQUIRE_NO_DAEMON)(session.settings)
    if removal.ends_agents:
        removal.done += load(Heavy.END_TMUX_SERVER)(session.settings)
    if removal.data:
        removal.done += load(Heavy.PURGE)(removal.data)


def _staying(session: Session, removal: Removal) -> list[str]:
    said = []
    if removal.agents and not removal.ends_agents:
        said.append(f"Still running: {', '.join(removal.agents)}; `ccm-orchestrator stop-all` ends them.")
    elif removal.agents and not removal.data:
        said.append("A daemon that is started again begins nothing new until `ccm-orchestrator system drain --off`.")
    if not removal.data:
        said.append(f"Left as they are: the configuration, and {session.settings.state_directory} (--purge).")
    return [*said, COMMAND_STAYS]
