"""/api/notifications: what people were told, and what they are still to be told."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, Query
from pydantic import Field

from ccm_orchestrator.api.guards import TokenRoute, needs
from ccm_orchestrator.api.injection import Services
from ccm_orchestrator.api.paging import Pager
from ccm_orchestrator.api.schemas import MAX_SEQ, Output
from ccm_orchestrator.domain.caller import Scope
from ccm_orchestrator.domain.notices import Level, NoticeEvent, NoticeStatus, QueuedNotice
from ccm_orchestrator.ports.notices import NoticeQuery

router = APIRouter(prefix="/api", tags=["notifications"], route_class=TokenRoute)


class NotificationOutput(Output):
    seq: int
    target: str = Field(description="Its name in the configuration; the address is shown to nobody.")
    event: NoticeEvent
    level: Level
    title: str
    body: str
    at: datetime = Field(description="When it happened first.")
    due_at: datetime = Field(description="Not sent before.")
    count: int = Field(description="How often it happened since.")
    tries: int
    status: NoticeStatus
    sent_at: datetime | None
    error: str | None = Field(description="Why the last try failed.")

    @classmethod
    def of(cls, queued: QueuedNotice) -> Self:
        notice = queued.notice
        return cls(
            seq=queued.seq,
            target=notice.target,
            event=notice.event,
            level=notice.level,
            title=notice.title,
            body=notice.body,
            at=notice.at,
            due_at=notice.due_at,
            count=queued.count,
            tries=queued.tries,
            status=queued.status,
            sent_at=queued.sent_at,
            error=queued.error,
        )


class NotificationPage(Output):
    items: list[NotificationOutput]
    next_before: int | None = Field(description="Pass it as `before` to read on; None at the end.")


@router.get("/notifications")
@needs(Scope.ADMIN)
async def list_notifications(
    services: Services,
    pager: Pager,
    status: Annotated[NoticeStatus | None, Query(description="Only of this status.")] = None,
    target: Annotated[str | None, Query(max_length=200, description="Only those to this target.")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    before: Annotated[int | None, Query(ge=0, le=MAX_SEQ, description="`next_before` of the page before.")] = None,
) -> NotificationPage:
    """Newest first."""
    found = await services.notices.notices(NoticeQuery(status, target, limit + 1, before))
    shown = found[:limit]
    if len(found) > limit:
        pager.goes_on(before=shown[-1].seq)
    items = [NotificationOutput.of(queued) for queued in shown]
    return NotificationPage(items=items, next_before=shown[-1].seq if len(found) > limit else None)
