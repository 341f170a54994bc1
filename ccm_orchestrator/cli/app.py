"""The tree of commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ccm_orchestrator import __version__
from ccm_orchestrator.cli.late_commands import Group, Tree, late_group

EPILOG = (
    "Exit codes: 0 all well · 1 failed · 2 bad input · 3 the daemon does not run or answer · "
    "task wait: 4 failed, 5 timeout, 6 cancelled, 7 held."
)

COMMANDS: Tree = {
    "serve": "daemon",
    "demo": "daemon",
    "status": "daemon",
    "attach": "attach",
    "logs": "logs",
    "stop-all": "stop_all",
    "init": "init",
    "doctor": "doctor",
    "update": "update",
    "uninstall": "uninstall",
    "completion": "completion",
    "tmux-server": "tmux_server",
    "task": Group(
        "Tasks: hand work in, look at it, stop it.",
        {
            "add": "add_task",
            "list": "tasks",
            "show": "tasks",
            "stop": "tasks",
            "retry": "tasks",
            "release": "tasks",
            "wait": "wait",
        },
    ),
    "agent": Group(
        "Agents: look at them, talk to them, answer them.",
        {
            "list": "agents",
            "state": "agents",
            "screen": "agents",
            "stop": "agents",
            "send": "messages",
            "create": "standing",
            "update": "standing",
            "start": "standing",
            "messages": "standing",
            "delete": "standing",
            "permissions": "permissions",
            "approve": "permissions",
            "deny": "permissions",
        },
    ),
    "approval": Group(
        "Approvals: what agents ask, and rules that answer it.",
        {
            "rule": Group(
                "Rules that answer what agents ask by themselves.",
                {"add": "approval_rules", "list": "approval_rules", "remove": "approval_rules"},
            )
        },
    ),
    "project": Group(
        "Projects: the directories in which agents may work.",
        {"add": "projects", "list": "projects", "show": "projects", "trust": "projects", "remove": "projects"},
    ),
    "system": Group(
        "Systems: the machines that run the daemon.",
        {"list": "systems", "drain": "systems"},
    ),
    "audit": Group(
        "The audit log: who changed what.",
        {"list": "audit"},
    ),
    "incident": Group(
        "Incidents: what went wrong, and whether it is over.",
        {"list": "incidents"},
    ),
    "budget": Group(
        "The budget of a day: what agents have used, and what they may.",
        {"show": "budget"},
    ),
    "notify": Group(
        "Notifications: what people are told.",
        {"test": "notifications", "list": "notifications"},
    ),
    "session": Group(
        "Sessions: conversations with an agent, line by line.",
        {"list": "sessions", "start": "sessions", "resume": "sessions", "output": "sessions", "terminate": "sessions"},
    ),
    "service": Group(
        "The daemon as a service of systemd or launchd.",
        {"install": "services", "uninstall": "services", "restart": "services", "status": "services"},
    ),
    "token": Group(
        "API keys: for programs and machines that call the daemon.",
        {"create": "tokens", "list": "tokens", "rotate": "tokens", "revoke": "tokens", "flush-users": "tokens"},
    ),
    "db": Group(
        "The database of a Supabase project.",
        {"migrate": "db", "status": "db", "sql": "db"},
    ),
    "dev": Group(
        "For trying and for building: what a real project would have.",
        {
            "supabase": Group(
                "A Supabase of your own on this machine, without an account.",
                {"up": "dev", "down": "dev", "status": "dev"},
            )
        },
    ),
    "support": Group(
        "For whoever is to help.",
        {"bundle": "support"},
    ),
    "config": Group(
        "The configuration file.",
        {"path": "configuration", "get": "configuration", "set": "configuration"},
    ),
}

app = typer.Typer(
    cls=late_group(COMMANDS),
    help="Hand work to coding agents and walk away: tasks become Claude Code runs in tmux, and nothing is lost.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ccm-orchestrator {__version__}")
        raise typer.Exit


@app.callback()
def root(
    ctx: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option("--config", envvar="CCM_CONFIG", metavar="FILE", help="Configuration file instead of the usual."),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    ctx.obj = config
