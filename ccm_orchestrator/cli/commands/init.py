"""`init`: from nothing to a daemon that has done its first task."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from ccm_orchestrator.cli.exits import Exit
from ccm_orchestrator.cli.lazily import Heavy, load
from ccm_orchestrator.cli.questions import agreed
from ccm_orchestrator.cli.session import Session, command
from ccm_orchestrator.errors import InputError


def add_to(app: typer.Typer) -> None:
    command(app, "init")(init)


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
    notify: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FILE", help="Tell this target; FILE holds its Apprise URL. Repeat it for more."),
    ] = None,
    notify_test: Annotated[
        bool | None, typer.Option("--notify-test/--no-notify-test", help="Send them a test message at the end.")
    ] = None,
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
        "notify_url_files": None if notify is None else dict(map(_target, notify)),
        "notify_test": notify_test,
        "service": service,
        "trial": trial,
    }
    asks = sys.stdin.isatty() and not (yes or dry_run or session.as_json or session.quiet)
    if not (asks or yes or dry_run):
        raise InputError("There is nobody to ask: run it at a terminal, or with --yes and what you want as flags.")
    known, decided, plan = await load(Heavy.PREPARE)(session, answers, given, asks)
    summary = _summary(decided, plan)
    if not session.as_json:
        session.show(summary, lambda: load(Heavy.PLAN_VIEW)(plan, decided, known.config))
    if dry_run or (asks and not agreed("\nGo ahead?", default=True)):
        return _say_no_more(session, summary, dry_run)
    outcome: Exit = await load(Heavy.SET_UP)(session, known.config, decided, plan, summary, asks)
    return outcome


def _absolute(path: Path | None) -> str | None:
    return None if path is None else str(path.expanduser().absolute())


def _target(named: str) -> tuple[str, str | None]:
    """Raises: InputError."""
    name, separated, file = named.partition("=")
    if not separated or not file or "://" in file:
        raise InputError("Expected `--notify` to be NAME=FILE, FILE holding the address: others see a command line.")
    return name, _absolute(Path(file))


def _summary(decided: Any, plan: Any) -> dict[str, Any]:
    return {
        "changes": [asdict(change) for change in plan.changes],
        "secret_files": [str(path) for path in plan.secret_files],
        "projects": [str(path) for path in plan.projects],
        "notify_test": decided.notify_test,
        "service": decided.service.value,
        "trial": decided.trial,
    }


def _say_no_more(session: Session, summary: dict[str, Any], dry_run: bool) -> Exit:
    if session.as_json:
        session.show(summary, "")
    session.note("Nothing was changed.")
    return Exit.OK if dry_run else Exit.FAILED
