"""`doctor`"""

from __future__ import annotations

import os
from dataclasses import asdict

import typer

from ccm_orchestrator.cli.exits import Exit
from ccm_orchestrator.cli.lazily import Heavy, load
from ccm_orchestrator.cli.session import Session, command
from ccm_orchestrator.cli.views.checks import check_list
from ccm_orchestrator.setup.check import Check, Verdict


def add_to(app: typer.Typer) -> None:
    command(app, "doctor")(doctor)


async def doctor(session: Session) -> Exit:
    """Check everything that the daemon needs, and say what to do about what is missing."""
    checks: list[Check] = await load(Heavy.EXAMINE)(session.config, os.environ)
    failed = [check for check in checks if check.verdict is Verdict.FAIL]
    session.show([asdict(check) for check in checks], lambda: check_list(checks), ids="\n".join(c.name for c in failed))
    return Exit.FAILED if failed else Exit.OK
