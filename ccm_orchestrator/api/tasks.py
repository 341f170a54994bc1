"""/api/tasks: hand work in, look at it, stop it."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Header, Query, Response

from ccm_orchestrator.api.access import require_own_store, visible_task
from ccm_orchestrator.api.auditing import Noted
from ccm_orchestrator.api.guards import Asker, TokenRoute, needs
from ccm_orchestrator.api.injection import Services
from ccm_orchestrator.api.paging import Pager
from ccm_orchestrator.api.schemas import MAX_SEQ, EventOutput, EventPage, TaskInput
from ccm_orchestrator.api.services import ApiServices
from ccm_orchestrator.api.snapshots import created
from ccm_orchestrator.api.task_schemas import TaskBrief, TaskOutput, TaskPage
from ccm_orchestrator.domain import refusals
from ccm_orchestrator.domain.audit import AuditEntry, entry_of
from ccm_orchestrator.domain.caller import Caller, Scope
from ccm_orchestrator.domain.made_ids import of_key
from ccm_orchestrator.domain.task import Task, TaskStatus, is_settled
from ccm_orchestrator.engine.awaiting import awaited
from ccm_orchestrator.engine.control import EntryOf, no_entry
from ccm_orchestrator.engine.queues import LOCAL
from ccm_orchestrator.errors import TaskNotFound, WrongStatus
from ccm_orchestrator.ports.acceptance import Accepted
from ccm_orchestrator.ports.tasks import TaskQuery

router = APIRouter(prefix="/api/tasks", tags=["tasks"], route_class=TokenRoute)

IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        description="Repeating a request with the same key returns the task that the first one made.",
    ),
]


@router.post("", status_code=201, response_model=TaskOutput)
@needs(Scope.SUBMIT)
async def create_task(
    services: Services,
    caller: Asker,
    note: Noted,
    body: TaskInput,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """201 for a new task, 200 for one that is there already; both come after it is durably stored."""

    def entry(task: Task) -> AuditEntry:
        made = entry_of(caller, services.control.now(), "POST /api/tasks", _place(task), 201)
        return replace(made, after=created(task))

    accepted = await submit(services, caller, body, "api", idempotency_key, entry)
    note.kept = 201 if accepted.audited else None
    # As a text, for FastAPI would check and copy what was made here.
    answer = TaskOutput.of(accepted.task).model_dump_json()
    status, where = 201 if accepted.is_new else 200, {"Location": _place(accepted.task)}
    return Response(answer, status, where, media_type="application/json")


@router.get("")
async def list_tasks(
    services: Services,
    caller: Asker,
    pager: Pager,
    status: Annotated[list[TaskStatus] | None, Query()] = None,
    project: str | None = None,
    tag: str | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    before: Annotated[str | None, Query(description="`next_before` of the page before.")] = None,
    store: Annotated[str, Query(description="`local`, or `supabase` for what this machine may see there.")] = LOCAL,
) -> TaskPage:
    """Of one task store, newest first."""
    if before is not None and caller.owner is not None:
        before = (await visible_task(services, caller, before)).task_id
    query = TaskQuery(frozenset(status or ()), project, tag, limit + 1, before, caller.owner)
    tasks = await services.queues.named(store).store.list(query)
    shown = tasks[:limit]
    if len(tasks) > limit:
        pager.goes_on(before=shown[-1].task_id)
    return TaskPage(
        items=[TaskBrief.of(task) for task in shown], next_before=shown[-1].task_id if len(tasks) > limit else None
    )


@router.get("/{task_id}")
async def get_task(
    services: Services,
    caller: Asker,
    task_id: str,
    wait_s: Annotated[
        float,
        Query(
            ge=0,
            le=60,
            description="Answer only when it has ended or is held for a person; after so many seconds in any case.",
        ),
    ] = 0,
) -> TaskOutput:
    """By id, or a unique prefix of at least four characters."""

    async def look() -> Task:
        return await visible_task(services, caller, task_id)

    def done(task: Task) -> bool:
        return is_settled(task.status, task.hold)

    if not wait_s:
        return TaskOutput.of(await look())
    return TaskOutput.of(await awaited(services.bus, look, done, wait_s, services.stopping))


@router.post("/{task_id}/stop", status_code=202)
@needs(Scope.CONTROL)
async def stop_task(services: Services, caller: Asker, task_id: str) -> TaskOutput:
    """Cancelled at once when nothing runs; else flagged, and its agent is ended: interrupt, terminate, kill."""
    return TaskOutput.of(await services.control.stop_task((await visible_task(services, caller, task_id)).task_id))


@router.post("/{task_id}/retry")
@needs(Scope.CONTROL)
async def retry_task(services: Services, caller: Asker, task_id: str) -> TaskOutput:
    """A failed, cancelled or held task is queued again, with all its attempts anew."""
    return TaskOutput.of(await services.control.retry_task((await visible_task(services, caller, task_id)).task_id))


@router.post("/{task_id}/release")
@needs(Scope.CONTROL)
async def release_task(services: Services, caller: Asker, task_id: str) -> TaskOutput:
    """A held task is queued again."""
    return TaskOutput.of(await services.control.release_task((await visible_task(services, caller, task_id)).task_id))


@router.get("/{task_id}/events")
async def list_task_events(
    services: Services,
    caller: Asker,
    pager: Pager,
    task_id: str,
    after: Annotated[int, Query(ge=0, le=MAX_SEQ)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> EventPage:
    """Oldest first; `/api/events?task_id=` streams them."""
    task = await visible_task(services, caller, task_id)
    stored = await services.events.read(after, limit, task_id=task.task_id)
    if len(stored) == limit:
        pager.goes_on(after=stored[-1].seq)
    return EventPage(items=[EventOutput.of(event) for event in stored], next_after=stored[-1].seq if stored else after)


async def submit(
    services: ApiServices, caller: Caller, body: TaskInput, source: str, key: str | None, entry: EntryOf = no_entry
) -> Accepted:
    """The key becomes the task's id, so that a repeated request finds the task for as long as the store keeps it."""
    require_own_store(caller, body.store)
    if caller.owner is not None:
        for task_id in body.after:
            await _require_visible_dependency(services, caller, task_id)
    new = replace(body.new_task(source, _task_id(caller, key)), owner=caller.owner)
    accepted = await services.control.submit(new, body.store, entry)
    task = accepted.task
    if not caller.sees(task.owner):
        raise WrongStatus(f"The dedup key {body.dedup_key!r} is in use by somebody else: choose another one.")
    if key is not None and (task.project, task.prompt) != (new.project, new.prompt):
        raise WrongStatus(
            f"The Idempotency-Key or dedup key was used for task {task.task_id}, which asks for something else.",
            task_id=task.task_id,
        )
    return accepted


def _place(task: Task) -> str:
    return f"/api/tasks/{task.task_id}"


def _task_id(caller: Caller, key: str | None) -> str | None:
    """Each user has keys of their own."""
    whose = () if caller.owner is None else (caller.owner,)
    return of_key(key, "idempotency-key", *whose)


async def _require_visible_dependency(services: ApiServices, caller: Caller, task_id: str) -> None:
    try:
        await visible_task(services, caller, task_id)
    except TaskNotFound:
        raise refusals.unknown_dependency(task_id) from None
