"""`notify test|list`"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ccm_orchestrator.cli.connection import connect
from ccm_orchestrator.cli.lazily import Heavy, load
from ccm_orchestrator.cli.session import Session, command
from ccm_orchestrator.cli.views.notifications import notification_table
from ccm_orchestrator.cli.views.plain import text
from ccm_orchestrator.domain.notices import NoticeStatus
from ccm_orchestrator.errors import InputError, OrchestratorError

TEST_TITLE = "ccm-orchestrator: a test"
TEST_BODY = "Messages arrive here."


def add_to(group: typer.Typer) -> None:
    command(group, "test")(send_test)
    command(group, "list")(list_notifications)


async def send_test(
    session: Session,
    target: Annotated[str | None, typer.Argument(help="Only this target of the configuration.")] = None,
) -> None:
    """Send a test message to each target, and say of each that fails why."""
    table = session.settings.notifications
    found: Any = load(Heavy.NOTICE_TARGETS)(table)
    usable = [each for each in found.usable if target in (None, each.name)]
    left_out = {name: problem for name, problem in found.left_out.items() if target in (None, name)}
    if not usable and not left_out:
        raise _none_of_it(target, [each.name for each in found.usable] + list(found.left_out))
    carrier: Any = load(Heavy.NOTICE_CARRIER)(table.timeout_s)
    errors = left_out | {each.name: await carrier.send(each.url, TEST_TITLE, TEST_BODY, "info") for each in usable}
    lines = [f"{name}: {'delivered' if error is None else f'failed: {error}'}" for name, error in errors.items()]
    session.show(errors, lambda: text("\n".join(lines)))
    if any(errors.values()):
        raise OrchestratorError("Not every target could be told.")


def _none_of_it(target: str | None, known: list[str]) -> InputError:
    if known:
        return InputError(f"There is no target {target!r}; there are: {', '.join(sorted(known))}.")
    return InputError("Nobody is told yet: write a target to `[notifications.targets.NAME]` of the configuration file.")


async def list_notifications(
    session: Session,
    status: Annotated[NoticeStatus | None, typer.Option(help="Only of this status.")] = None,
    target: Annotated[str | None, typer.Option(metavar="NAME", help="Only those to this target.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=500, help="At most so many.")] = 50,
    before: Annotated[int | None, typer.Option(metavar="NUMBER", min=0, help="Only those before this one.")] = None,
) -> None:
    """List what people were told, and what they are still to be told, newest first."""
    async with connect(session.settings) as connection:
        page = await connection.get(
            "/api/notifications", status=status and status.value, target=target, limit=limit, before=before
        )
        ids = "\n".join(str(told["seq"]) for told in page["items"])
        session.show(page, lambda: notification_table(page), ids=ids)
