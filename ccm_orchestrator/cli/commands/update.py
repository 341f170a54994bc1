"""`update`"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from ccm_orchestrator.cli.exits import Exit
from ccm_orchestrator.cli.lazily import Heavy, load
from ccm_orchestrator.cli.session import Session, command
from ccm_orchestrator.cli.views.plain import text
from ccm_orchestrator.errors import InputError


def add_to(app: typer.Typer) -> None:
    command(app, "update")(update)


async def update(
    session: Session,
    check: Annotated[bool, typer.Option("--check", help="Only say whether there is a newer version.")] = False,
    to: Annotated[
        str | None, typer.Option("--to", metavar="VERSION", help="This version, older ones too; default: the newest.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")] = False,
) -> Exit:
    """Bring a newer version, by what installed this one, and start the daemon anew. Agents go on. When the new daemon
    does not get ready, the version before is put back."""
    plan: Any = load(Heavy.PLANNED_UPDATE)(session.settings, session.config, to)
    if check or dry_run or (plan.ours and plan.offered is None):
        said = [_verdict(plan, to), *(plan.steps if dry_run or not plan.ours else ())]
        session.show(asdict(plan), text("\n".join(said)))
        return Exit.OK
    if not plan.ours:
        raise InputError(f"{_verdict(plan, to)}\n" + "\n".join(plan.steps))
    said = []

    def say(sentence: str) -> None:
        said.append(sentence)
        if not (session.as_json or session.quiet):
            session.out.print(text(sentence))

    load(Heavy.CARRY_OUT_UPDATE)(session.settings, session.config, plan.offered, say)
    session.show({**asdict(plan), "done": said}, text(f"{plan.current} → {plan.offered}"))
    return Exit.OK


def _verdict(plan: Any, to: str | None) -> str:
    here = f"This is {plan.current} ({plan.kind}, {plan.place})"
    if not plan.ours:
        return f"{here}. What updates it:"
    if plan.offered is None:
        return f"{here}, {'as it should be' if to else 'and there is no newer one'}."
    return f"{here}. {plan.offered} is there."
