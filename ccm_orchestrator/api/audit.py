"""/api/audit: who changed what."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Self

from fastapi import APIRouter, Query
from pydantic import Field

from ccm_orchestrator.api.guards import TokenRoute, needs
from ccm_orchestrator.api.injection import Services
from ccm_orchestrator.api.paging import Pager
from ccm_orchestrator.api.schemas import MAX_SEQ, Output
from ccm_orchestrator.domain.audit import AuditRecord
from ccm_orchestrator.domain.caller import CallerKind, Scope
from ccm_orchestrator.ports.audit import AuditQuery

router = APIRouter(prefix="/api", tags=["audit"], route_class=TokenRoute)


class AuditOutput(Output):
    seq: int
    at: datetime
    caller: str = Field(description="`local`, the prefix of an API key, the id of a user, of a run.")
    kind: CallerKind
    owner: str | None = Field(description="The user that the caller acted for.")
    source: str = Field(description="Address that the call came from.")
    action: str = Field(examples=["POST /api/tasks/{task_id}/stop"])
    target: str = Field(description="The path as it was called, or that of what the call made.")
    status: int = Field(description="Of the answer; 499: the caller went before there was one.")
    before: dict[str, Any] | None = Field(description="What was known of the target before the call.")
    after: dict[str, Any] | None = Field(description="And after it.")

    @classmethod
    def of(cls, record: AuditRecord) -> Self:
        fields = {name: getattr(record.entry, name) for name in cls.model_fields if name != "seq"}
        return cls(seq=record.seq, **fields)


class AuditPage(Output):
    items: list[AuditOutput]
    next_before: int | None = Field(description="Pass it as `before` to read on; None at the end.")


@router.get("/audit")
@needs(Scope.ADMIN)
async def list_audit(
    services: Services,
    pager: Pager,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    before: Annotated[int | None, Query(ge=0, le=MAX_SEQ, description="`next_before` of the page before.")] = None,
    caller: Annotated[str | None, Query(description="Exactly this name.")] = None,
    action: Annotated[str | None, Query(description="What the action contains, such as `stop`.")] = None,
    target: Annotated[str | None, Query(description="What the target contains, such as a task's id.")] = None,
) -> AuditPage:
    """Newest first."""
    found = await services.audit.read(AuditQuery(limit + 1, before, caller, action, target))
    shown = found[:limit]
    if len(found) > limit:
        pager.goes_on(before=shown[-1].seq)
    items = [AuditOutput.of(record) for record in shown]
    return AuditPage(items=items, next_before=shown[-1].seq if len(found) > limit else None)
