"""`doctor`"""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from typing import Annotated, Any

import typer

from ccm_orchestrator.cli.exits import Exit
from ccm_orchestrator.cli.lazily import Heavy, load
from ccm_orchestrator.cli.questions import agreed
from ccm_orchestrator.cli.session import Session, command
from ccm_orchestrator.cli.views.checks import check_list, mended_list, probe_list
from ccm_orchestrator.cli.views.plain import text
from ccm_orchestrator.errors import InputError
from ccm_orchestrator.setup.check import Check, Verdict


def add_to(app: typer.Typer) -> None:
    command(app, "doctor")(doctor)


async def doctor(
    session: Session,
    fix: Annotated[bool, typer.Option("--fix", help="Run the commands that are safe, then look again.")] = False,
    only: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this check or group; repeat it for more.")
    ] = None,
    prove: Annotated[
        bool,
        typer.Option("--prove", help="Start the daemon anew while an agent works, and see that the agent goes on."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="--prove asks nothing.")] = False,
    named: Annotated[bool, typer.Option("--list", help="Say what there is to be checked, and check nothing.")] = False,
) -> Exit:
    """Check everything that the daemon needs, and say what to do about what is missing. Exits with 1 when something
    failed; warnings are no failure."""
    if named:
        probes = load(Heavy.LISTED)()
        session.show(probes, lambda: probe_list(probes), ids="\n".join(probe["name"] for probe in probes))
        return Exit.OK
    if prove:
        return _prove(session, yes)
    checks: list[Check] = await load(Heavy.EXAMINE)(session.config, os.environ, only or ())
    if fix:
        mended: list[Any] = load(Heavy.MEND)(checks, os.environ, session.config)
        if not (session.as_json or session.quiet):
            session.out.print(mended_list(mended))
        checks = await load(Heavy.EXAMINE)(session.config, os.environ, only or ())
    failed = [check for check in checks if check.verdict is Verdict.FAIL]
    session.show([asdict(check) for check in checks], lambda: check_list(checks), ids="\n".join(c.name for c in failed))
    return Exit.FAILED if failed else Exit.OK


def _prove(session: Session, yes: bool) -> Exit:
    """Raises: InputError when nobody agrees, OrchestratorError when it is not as promised."""
    intended = load(Heavy.INTENTION)(session.settings, session.config)
    if not yes:
        if not sys.stdin.isatty():
            raise InputError(f"{intended} There is nobody to ask: run it at a terminal, or with --yes.")
        session.err.print(text(intended))
        if not agreed("Go ahead?", default=False, err=True):
            raise InputError("Nothing was done.")
    said: list[str] = []

    def say(sentence: str) -> None:
        said.append(sentence)
        if not session.as_json:
            session.show(None, text(sentence))

    load(Heavy.PROVE)(session.settings, session.config, say)
    if session.as_json:
        session.show({"proved": True, "said": said}, "")
    return Exit.OK
