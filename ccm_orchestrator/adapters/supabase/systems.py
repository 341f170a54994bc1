"""How this machine is announced to the others, and what it knows of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ccm_orchestrator.adapters.supabase.client import RestClient
from ccm_orchestrator.adapters.supabase.rows import read_project, readable
from ccm_orchestrator.errors import NotFound, SchemaTooNew, SchemaTooOld, WrongStatus
from ccm_orchestrator.ports.tasks import Project


@dataclass(frozen=True, slots=True)
class SchemaState:
    migrations: tuple[str, ...]
    """Names of those that were applied, in order."""
    db_now: datetime

    @property
    def newest(self) -> str | None:
        return self.migrations[-1] if self.migrations else None


async def schema_state(client: RestClient) -> SchemaState:
    """Raises: SchemaTooOld when not even this can be asked."""
    answer = await client.rpc("schema_state", {}, even_barred=True)
    with readable("its migrations"):
        return SchemaState(tuple(sorted(answer["migrations"])), datetime.fromisoformat(answer["db_now"]))


def problem_with_schema(state: SchemaState, known: Sequence[str]) -> SchemaTooOld | SchemaTooNew | None:
    """`known`: the migrations that this version knows, in order; none: any schema will do."""
    missing = [name for name in known if name not in state.migrations]
    if missing:
        return SchemaTooOld(
            f"The Supabase database lacks the migration {missing[0]}: run `ccm-orchestrator db migrate`.",
            migration=missing[0],
        )
    newer = [name for name in state.migrations if known and name > known[-1]]
    if newer:
        return SchemaTooNew(
            f"The Supabase database has the migration {newer[-1]}, which this version does not know: "
            "upgrade ccm-orchestrator on this machine.",
            migration=newer[-1],
        )
    return None


async def announce_projects(client: RestClient, system_id: str, projects: Sequence[Project]) -> None:
    """Makes the announced projects those that are registered here.

    One that unfinished tasks still name stays announced; the next announcement tries again.
    """
    rows = await client.rpc("list_projects", {"p_system_id": system_id}, list)
    announced = {project.name: project for project in map(read_project, rows)}
    for project in projects:
        known = announced.pop(project.name, None)
        if known is None or (known.path, known.profile) != (project.path, project.profile):
            entry = {"name": project.name, "path": project.path, "profile": project.profile}
            await client.rpc("add_project", {"p_system_id": system_id, "p_project": entry})
    for name in announced:
        try:
            await client.rpc("remove_project", {"p_system_id": system_id, "p_name": name}, type(None))
        except (NotFound, WrongStatus):
            continue
