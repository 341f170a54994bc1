"""What `init` does, once it is known what is wanted."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ccm_orchestrator.adapters.apprise.carrier import AppriseCarrier
from ccm_orchestrator.cli.commands.notifications import TEST_BODY, TEST_TITLE
from ccm_orchestrator.cli.commands.projects import review
from ccm_orchestrator.cli.connection import connect
from ccm_orchestrator.cli.exits import Exit
from ccm_orchestrator.cli.lazily import Heavy, load
from ccm_orchestrator.cli.session import Session
from ccm_orchestrator.cli.views.checks import check_list
from ccm_orchestrator.cli.views.plain import text
from ccm_orchestrator.errors import OrchestratorError
from ccm_orchestrator.settings import Settings, config_path, load_settings
from ccm_orchestrator.settings.writing import write_config, write_private
from ccm_orchestrator.setup.check import Check, Verdict
from ccm_orchestrator.setup.daemon_checks import outdated
from ccm_orchestrator.setup.doctor import examine
from ccm_orchestrator.setup.planning import changed_document
from ccm_orchestrator.setup.services import service_manager
from ccm_orchestrator.wiring.targets import read_targets

MACHINE_ENVIRONMENT = Path("/etc/ccm-orchestrator/environment")
LOGIN = "login"
"""The check that only a person can mend."""


@dataclass(slots=True)
class Report:
    """What was done, and what could not be."""

    done: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


async def set_up(session: Session, config: Path, decided: Any, plan: Any, summary: dict[str, Any], asks: bool) -> Exit:
    report = Report()
    _write(config, decided, plan, report)
    settings = load_settings(session.config)
    await _register(session, settings, plan.projects, report, asks)
    _step(report, lambda: _serve(settings, session.config, decided.service.value, report))
    await _tell(settings, decided, report)
    checks: list[Check] = await examine(session.config, os.environ)
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
    changed = changed_document(document, plan.changes, config)
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
    manager = service_manager(settings, config, service == "system")
    done = list(manager.install())
    old = runs_on_an_older_file(settings, config or config_path()) or outdated(settings.state_directory)
    if not done and old:
        manager.restart()
        done = ["Restarted the daemon; agents were not touched."]
    report.done += done


def runs_on_an_older_file(settings: Settings, config: Path) -> bool:
    """Whether the configuration was written after the daemon had read it, by this call or by one that was cut short."""
    started, written = settings.url_file, config
    return started.exists() and written.exists() and started.stat().st_mtime < written.stat().st_mtime


async def _tell(settings: Settings, decided: Any, report: Report) -> None:
    """A test message to each target that was set up, if somebody agreed."""
    if not decided.notify_test:
        return
    carrier = AppriseCarrier(settings.notifications.timeout_s)
    for target in read_targets(settings.notifications).usable:
        if target.name in decided.notify_url_files:
            error = await carrier.send(target.url, TEST_TITLE, TEST_BODY, "info")
            told = f"A test message went to {target.name}."
            (report.done if error is None else report.failed).append(
                told if error is None else f"No test message reached {target.name}: {error}."
            )


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
        started = ", and start the daemon with `ccm-orchestrator serve`" if service == "none" else ""
        return text(f"\nReady but for a login: run `claude` and log in{keyed}{started}.")
    started = "Start the daemon with `ccm-orchestrator serve`, then hand in" if service == "none" else "Hand in"
    return text(
        f"\nReady. {started} a task with `ccm-orchestrator task add 'What is to be done'` inside of a project, "
        "and look at it with `ccm-orchestrator status`."
    )
