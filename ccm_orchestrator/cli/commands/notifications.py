"""`notify test`"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ccm_orchestrator.cli.lazily import Heavy, load
from ccm_orchestrator.cli.session import Session, command
from ccm_orchestrator.cli.views.plain import text
from ccm_orchestrator.errors import InputError, OrchestratorError


def add_to(group: typer.Typer) -> None:
    command(group, "test")(send_test)


async def send_test(
    session: Session,
    target: Annotated[str | None, typer.Argument(help="Only this target of the configuration.")] = None,
) -> None:
    """Send a test message to each target, and say of each that fails why."""
    settings = session.settings
    targets: list[Any] = [each for each in load(Heavy.NOTICE_TARGETS)(settings) if target in (None, each.name)]
    if not targets:
        raise InputError(
            "There is no such target: write one to `[notifications.targets.NAME]` of the configuration file."
        )
    carrier: Any = load(Heavy.NOTICE_CARRIER)(settings.notifications.timeout_s)
    errors = {
        each.name: await carrier.send(each.url, "ccm-orchestrator: a test", "Messages arrive here.", "info")
        for each in targets
    }
    lines = [f"{name}: {'delivered' if error is None else f'failed: {error}'}" for name, error in errors.items()]
    session.show(errors, lambda: text("\n".join(lines)))
    if any(errors.values()):
        raise OrchestratorError("Not every target could be told.")
