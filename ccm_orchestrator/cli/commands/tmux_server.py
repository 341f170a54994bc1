"""`tmux-server`, which the tmux service runs"""

from __future__ import annotations

import os

import typer

from ccm_orchestrator.cli.exits import exit_of
from ccm_orchestrator.cli.lazily import Heavy, load
from ccm_orchestrator.cli.session import report
from ccm_orchestrator.errors import OrchestratorError


def add_to(app: typer.Typer) -> None:
    app.command("tmux-server")(tmux_server)


def tmux_server(ctx: typer.Context) -> None:
    """Become the tmux server in which agents live, for a service manager to keep."""
    try:
        program, argv, environment = load(Heavy.TMUX_SERVER)(load(Heavy.LOAD_SETTINGS)(ctx.obj))
    except OrchestratorError as error:
        report(error)
        raise typer.Exit(exit_of(error)) from error
    os.execve(program, argv, environment)
