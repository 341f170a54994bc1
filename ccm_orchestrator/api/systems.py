"""/api/status, /api/projects, /api/profiles: the machine and what is registered on it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from ccm_orchestrator.api.access import require_own_store
from ccm_orchestrator.api.auditing import Noted
from ccm_orchestrator.api.guards import Asker, TokenRoute, needs
from ccm_orchestrator.api.injection import Services
from ccm_orchestrator.api.schemas import (
    DrainInput,
    ProfileOutput,
    ProjectInput,
    ProjectOutput,
    StatusOutput,
    StoppedOutput,
    SupabaseHealthOutput,
    SystemOutput,
)
from ccm_orchestrator.api.services import ApiServices
from ccm_orchestrator.api.snapshots import project_snapshot
from ccm_orchestrator.api.trust_schemas import TrustInput, TrustOutput
from ccm_orchestrator.domain.caller import Scope
from ccm_orchestrator.ports.journal import RunQuery

router = APIRouter(prefix="/api", tags=["systems"], route_class=TokenRoute)


@router.get("/status")
async def get_status(services: Services, caller: Asker) -> StatusOutput:
    options = services.options
    counts = await services.store.counts(caller.owner)
    return StatusOutput(
        version=options.version,
        system_id=options.system_id,
        started_at=options.started_at,
        trouble=options.trouble(),
        max_agents=options.max_agents,
        queue_limit=options.queue_limit,
        agents=len(await services.control.agents(RunQuery(open_only=True, owner=caller.owner))),
        tasks={status.value: count for status, count in counts.items()},
        supabase=supabase_health(services),
    )


StoreName = Annotated[
    str | None, Query(description="`local` or `supabase`; default: `supabase` where it is configured.")
]


@router.get("/systems")
async def list_systems(services: Services, caller: Asker, store: StoreName = None) -> list[SystemOutput]:
    """The machines that run the daemon, as one task store knows them."""
    if store is not None:
        require_own_store(caller, store)
    queue = services.queues.named(store) if store else list(services.queues)[-1]
    return [SystemOutput.model_validate(system) for system in await queue.store.systems()]


@router.post("/systems/{system_id}/drain", status_code=204)
@needs(Scope.ADMIN)
async def drain_system(services: Services, system_id: str, body: DrainInput) -> Response:
    """The system claims nothing new, from no store, until this is taken back; what it has, it finishes."""
    await services.control.drain(system_id, body.draining)
    return Response(status_code=204)


@router.post("/stop-all")
@needs(Scope.ADMIN)
async def stop_all(services: Services) -> StoppedOutput:
    """Every agent of this machine ends within seconds, whatever stores are away, and its task is cancelled. Nothing new
    is claimed until the drain of the system is taken back."""
    return StoppedOutput.model_validate(await services.control.stop_all(services.options.system_id))


def supabase_health(services: ApiServices) -> SupabaseHealthOutput | None:
    return SupabaseHealthOutput.model_validate(services.supabase_health()) if services.supabase_health else None


@router.get("/projects")
async def list_projects(services: Services) -> list[ProjectOutput]:
    return [ProjectOutput.model_validate(project) for project in await services.store.projects()]


@router.post("/projects", status_code=201)
@needs(Scope.ADMIN)
async def add_project(services: Services, body: ProjectInput, note: Noted) -> ProjectOutput:
    """Registers a directory: agents may work in it. Replaces a project of the same name. What its own files would make
    agents do is approved on its own, by `POST /api/projects/{name}/trust`."""
    note.before = await project_snapshot(services, body.project().name)
    return ProjectOutput.model_validate(await services.control.add_project(body.project()))


@router.delete("/projects/{name}", status_code=204)
@needs(Scope.ADMIN)
async def remove_project(services: Services, name: str) -> Response:
    """Refused while tasks that have not ended name it. Nothing in the directory is touched."""
    await services.control.remove_project(name)
    await services.trust.forget(name)
    return Response(status_code=204)


@router.get("/projects/{name}/trust")
@needs(Scope.ADMIN)
async def show_trust(services: Services, name: str) -> TrustOutput:
    """What the project's own files would make agents do, and whether somebody has approved it. While something is new,
    the project's tasks are held."""
    return TrustOutput.of(await services.trust.report(name))


@router.post("/projects/{name}/trust")
@needs(Scope.ADMIN)
async def trust_project(services: Services, caller: Asker, name: str, body: TrustInput, note: Noted) -> TrustOutput:
    """Approves exactly what was shown, and releases the tasks that waited for it; 409 when the files have changed."""
    approval = await services.trust.approve(name, body.fingerprint, caller.name)
    files = [finding.risk.file for finding in approval.report.findings]
    note.after |= {"fingerprint": body.fingerprint, "files": files, "released": list(approval.released)}
    return TrustOutput.of(approval.report, approval)


@router.get("/profiles")
async def list_profiles(services: Services) -> list[ProfileOutput]:
    return [ProfileOutput.of(profile) for _, profile in sorted(services.profiles.items())]
