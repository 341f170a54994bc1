"""`init`: from nothing to a daemon that has done its first task."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from ccm_orchestrator.cli.commands.projects import review
from ccm_orchestrator.cli.connection import connect
from ccm_orchestrator.cli.exits import Exit
from ccm_orchestrator.cli.lazily import Heavy, load
from ccm_orchestrator.cli.session import Session, command
from ccm_orchestrator.cli.views.checks import check_list
from ccm_orchestrator.cli.views.init import plan_view
from ccm_orchestrator.cli.views.plain import text
from ccm_orchestrator.errors import InputError, OrchestratorError
from ccm_orchestrator.settings import Settings, config_path, load_settings
from ccm_orchestrator.settings.writing import write_config, write_private
from ccm_orchestrator.setup.check import Check, Verdict

MACHINE_ENVIRONMENT = Path("/etc/ccm-orchestrator/environment")
LOGIN = "login"
"""The check that only a person can mend."""


def add_to(app: typer.Typer) -> None:
    command(app, "init")(init)


@dataclass(slots=True)
class Report:
    """What was done, and what could not be."""

    done: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


async def init(
    session: Session,
    answers: Annotated[Path | None, typer.Option(metavar="FILE", help="TOML file with answers; flags win.")] = None,
    store: Annotated[str | None, typer.Option(help="`embedded` or `supabase`.")] = None,
    supabase_url: Annotated[str | None, typer.Option(metavar="URL", help="Of the project.")] = None,
    supabase_key_file: Annotated[Path | None, typer.Option(metavar="FILE", help="Holds the project's key.")] = None,
    supabase_token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Holds the proof of who this machine is.")
    ] = None,
    project: Annotated[
        list[Path] | None, typer.Option(metavar="DIRECTORY", help="In which agents may work; repeat it for more.")
    ] = None,
    max_agents: Annotated[int | None, typer.Option(help="Agents that may run at the same time.")] = None,
    service: Annotated[str | None, typer.Option(help="`user`, `system` (as root) or `none`.")] = None,
    trial: Annotated[
        bool | None, typer.Option("--trial/--no-trial", help="Run a task with a scripted model at the end.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing: what is not said stays as it is.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
) -> Exit:
    """Set this machine up: configuration, projects, service; then check it, and see a task done. Repeat it any time."""
    given = {
        "store": store,
        "supabase_url": supabase_url,
        "supabase_key_file": _absolute(supabase_key_file),
        "supabase_token_file": _absolute(supabase_token_file),
        "projects": None if project is None else [_absolute(path) for path in project],
        "max_agents": max_agents,
        "service": service,
        "trial": trial,
    }
    asks = sys.stdin.isatty() and not (yes or dry_run or session.as_json or session.quiet)
    if not (asks or yes or dry_run):
        raise InputError("There is nobody to ask: run it at a terminal, or with --yes and what you want as flags.")
    known, decided, plan = await load(Heavy.PREPARE)(session, answers, given, asks)
    summary = {
        "changes": [asdict(change) for change in plan.changes],
        "secret_files": [str(path) for path in plan.secret_files],
        "projects": [str(path) for path in plan.projects],
        "service": decided.service.value,
        "trial": decided.trial,
    }
    if not session.as_json:
        session.show(summary, lambda: plan_view(plan, decided, known.config))
    if dry_run or (asks and not typer.confirm("\nGo ahead?", default=True)):
        return _say_no_more(session, summary, dry_run)
    return await _carry_out(session, known.config, decided, plan, summary, asks)


def _absolute(path: Path | None) -> str | None:
    return None if path is None else str(path.expanduser().absolute())


def _say_no_more(session: Session, summary: dict[str, Any], dry_run: bool) -> Exit:
    if session.as_json:
        session.show(summary, "")
    session.note("Nothing was changed.")
    return Exit.OK if dry_run else Exit.FAILED


async def _carry_out(
    session: Session, config: Path, decided: Any, plan: Any, summary: dict[str, Any], asks: bool
) -> Exit:
    report = Report()
    _write(config, decided, plan, report)
    settings = load_settings(session.config)
    await _register(session, settings, plan.projects, report, asks)
    _step(report, lambda: _serve(settings, session.config, decided.service.value, report))
    checks: list[Check] = await load(Heavy.EXAMINE)(session.config, os.environ)
    if not session.as_json:
        session.show(None, text("\n".join(report.done)))
        session.show(None, lambda: check_list(checks))
    tried = _try(decided.trial, checks, report)
    for sentence in report.failed:
        session.note(sentence)
    failed = [check.name for check in checks if check.verdict is Verdict.FAIL]
    outcome = {"done": report.done, "failed": report.failed, "failed_checks": failed, "trial_succeeded": tried}
    if session.as_json:
        session.show(summary | outcome, "")
    if report.failed or set(failed) - {LOGIN} or tried is False:
        session.note("Not everything is well yet: mend what is said above, and run `ccm-orchestrator init` again.")
        return Exit.FAILED
    if not session.as_json:
        session.show(outcome, _what_next(LOGIN in failed, decided.service.value))
    return Exit.OK


def _write(config: Path, decided: Any, plan: Any, report: Report) -> None:
    """Secrets first: the configuration names their files. Raises: InvalidSettings, before anything else is begun."""
    for file, secret in decided.secrets.items():
        write_private(file, secret.reveal() + "\n")
        report.done.append(f"Wrote {file}.")
    if not plan.changes:
        return
    document = config.read_text(encoding="utf-8") if config.exists() else ""
    changed = load(Heavy.CHANGED_DOCUMENT)(document, plan.changes, config)
    if document:
        backup = config.with_name(f"{config.name}.{time.strftime('%Y%m%d-%H%M%S')}")
        write_private(backup, document)
        report.done.append(f"Kept the former configuration as {backup}.")
    write_config(config, changed)
    report.done.append(f"Wrote {config}.")


async def _register(session: Session, settings: Settings, projects: list[Path], report: Report, asks: bool) -> None:
    """Makes the database, too, and brings its schema up to date."""
    try:
        async with connect(settings) as connection:
            for path in projects:
                added = await connection.post("/api/projects", {"path": str(path), "name": None, "profile": None})
                await review(session, connection, added["name"], may_ask=asks)
                report.done.append(f"Registered the project {added['name']} ({added['path']}).")
    except OrchestratorError as error:
        report.failed.append(error.message)


def _serve(settings: Settings, config: Path | None, service: str, report: Report) -> None:
    """Raises: OrchestratorError."""
    if service == "none":
        report.done.append("No service was installed: start the daemon with `ccm-orchestrator serve`.")
        return
    manager = load(Heavy.SERVICE_MANAGER)(settings, config, service == "system")
    done = list(manager.install())
    old = runs_on_an_older_file(settings, config or config_path()) or load(Heavy.OUTDATED)(settings.state_directory)
    if not done and old:
        manager.restart()
        done = ["Restarted the daemon; agents were not touched."]
    report.done += done


def runs_on_an_older_file(settings: Settings, config: Path) -> bool:
    """Whether the configuration was written after the daemon had read it, by this call or by one that was cut short."""
    started, written = settings.url_file, config
    return started.exists() and written.exists() and started.stat().st_mtime < written.stat().st_mtime


def _step(report: Report, step: Callable[[], None]) -> None:
    try:
        step()
    except OrchestratorError as error:
        report.failed.append(error.message)


def _try(wanted: bool, checks: list[Check], report: Report) -> bool | None:
    """None: it was not tried."""
    if not wanted:
        return None
    if any(check.name == "claude" and check.verdict is Verdict.FAIL for check in checks):
        report.failed.append("No task was tried: Claude Code is missing.")
        return None
    return bool(load(Heavy.TRIAL)() == 0)


def _what_next(login_missing: bool, service: str) -> Any:
    """A login is a person's own to give, on a new machine and at any time: the set-up itself has not failed."""
    if login_missing:
        file = MACHINE_ENVIRONMENT if service == "system" else config_path().with_name("environment")
        again = "ccm-orchestrator service restart" + (" --system" if service == "system" else "")
        keyed = f", or write ANTHROPIC_API_KEY=... into {file} and run `{again}`" if service != "none" else ""
        return text(f"\nReady but for a login: run `claude` and log in{keyed}.")
    return text(
        "\nReady. Hand in a task with `ccm-orchestrator task add 'What is to be done'` inside of a project, "
        "and look at it with `ccm-orchestrator status`."
    )
