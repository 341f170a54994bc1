"""The tree of commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ccm_orchestrator import __version__
from ccm_orchestrator.cli.commands import (
    add_task,
    agents,
    approval_rules,
    attach,
    audit,
    completion,
    configuration,
    daemon,
    db,
    dev,
    doctor,
    incidents,
    init,
    logs,
    messages,
    notifications,
    permissions,
    projects,
    services,
    sessions,
    standing,
    stop_all,
    support,
    systems,
    tasks,
    tokens,
    uninstall,
    update,
    wait,
)

EPILOG = (
    "Exit codes: 0 all well · 1 failed · 2 bad input · 3 the daemon does not run or answer · "
    "task wait: 4 failed, 5 timeout, 6 cancelled, 7 held."
)

app = typer.Typer(
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


task_group = typer.Typer(help="Tasks: hand work in, look at it, stop it.", no_args_is_help=True)
agent_group = typer.Typer(help="Agents: look at them, talk to them, answer them.", no_args_is_help=True)
system_group = typer.Typer(help="Systems: the machines that run the daemon.", no_args_is_help=True)
project_group = typer.Typer(help="Projects: the directories in which agents may work.", no_args_is_help=True)
token_group = typer.Typer(help="API keys: for programs and machines that call the daemon.", no_args_is_help=True)
db_group = typer.Typer(help="The database of a Supabase project.", no_args_is_help=True)
session_group = typer.Typer(help="Sessions: conversations with an agent, line by line.", no_args_is_help=True)
service_group = typer.Typer(help="The daemon as a service of systemd or launchd.", no_args_is_help=True)
dev_group = typer.Typer(help="For trying and for building: what a real project would have.", no_args_is_help=True)
approval_group = typer.Typer(help="Approvals: what agents ask, and rules that answer it.", no_args_is_help=True)
rule_group = typer.Typer(help="Rules that answer what agents ask by themselves.", no_args_is_help=True)
audit_group = typer.Typer(help="The audit log: who changed what.", no_args_is_help=True)
incident_group = typer.Typer(help="Incidents: what went wrong, and whether it is over.", no_args_is_help=True)
notify_group = typer.Typer(help="Notifications: what people are told.", no_args_is_help=True)
support_group = typer.Typer(help="For whoever is to help.", no_args_is_help=True)
config_group = typer.Typer(help="The configuration file.", no_args_is_help=True)

daemon.add_to(app)
attach.add_to(app)
logs.add_to(app)
stop_all.add_to(app)
init.add_to(app)
doctor.add_to(app)
update.add_to(app)
uninstall.add_to(app)
completion.add_to(app)
add_task.add_to(task_group)
tasks.add_to(task_group)
wait.add_to(task_group)
agents.add_to(agent_group)
messages.add_to(agent_group)
standing.add_to(agent_group)
permissions.add_to(agent_group)
approval_rules.add_to(rule_group)
approval_group.add_typer(rule_group, name="rule")
projects.add_to(project_group)
systems.add_to(system_group)
audit.add_to(audit_group)
incidents.add_to(incident_group)
notifications.add_to(notify_group)
sessions.add_to(session_group)
services.add_to(service_group)
services.add_tmux_server_to(app)
tokens.add_to(token_group)
db.add_to(db_group)
dev.add_to(dev_group)
configuration.add_to(config_group)
support.add_to(support_group)
app.add_typer(task_group, name="task")
app.add_typer(agent_group, name="agent")
app.add_typer(approval_group, name="approval")
app.add_typer(project_group, name="project")
app.add_typer(system_group, name="system")
app.add_typer(audit_group, name="audit")
app.add_typer(incident_group, name="incident")
app.add_typer(notify_group, name="notify")
app.add_typer(session_group, name="session")
app.add_typer(service_group, name="service")
app.add_typer(token_group, name="token")
app.add_typer(db_group, name="db")
app.add_typer(dev_group, name="dev")
app.add_typer(support_group, name="support")
app.add_typer(config_group, name="config")
