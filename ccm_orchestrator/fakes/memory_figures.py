"""Figures of the stores in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from ccm_orchestrator.domain.agent import AgentState
from ccm_orchestrator.domain.events import BusEvent
from ccm_orchestrator.domain.spending import COUNTED, ENDS
from ccm_orchestrator.domain.task import TaskStatus
from ccm_orchestrator.fakes.memory_incidents import MemoryIncidentStore
from ccm_orchestrator.fakes.memory_journal import MemoryEventStore
from ccm_orchestrator.ports.figures import Figures, Spent
from ccm_orchestrator.ports.incidents import IncidentQuery, IncidentStore
from ccm_orchestrator.ports.journal import EventStore, Journal, RunQuery
from ccm_orchestrator.ports.tasks import TaskQuery, TaskStore
from ccm_orchestrator.ports.world import Clock

_MOST = 100_000
_UNFINISHED = frozenset(TaskStatus) - {TaskStatus.SUCCEEDED, TaskStatus.FAILED, TaskStatus.CANCELLED}


def _ended(event: BusEvent) -> bool:
    return event.kind in ENDS and event.run_id is not None


def _used(ends: Sequence[BusEvent]) -> tuple[float, int]:
    """US dollars and tokens."""
    used = [usage for event in ends if isinstance(usage := event.data.get("usage"), dict)]
    cost_usd = sum(usage.get("cost_usd") or 0.0 for usage in used)
    return cost_usd, sum(usage.get(name) or 0 for usage in used for name in COUNTED)


class MemoryFigures:
    def __init__(
        self,
        tasks: TaskStore,
        journal: Journal,
        clock: Clock,
        incidents: IncidentStore | None = None,
        events: EventStore | None = None,
    ) -> None:
        self._events = events or MemoryEventStore()
        self._incidents = incidents or MemoryIncidentStore()
        self._tasks = tasks
        self._journal = journal
        self._clock = clock

    async def spent(self, since: datetime, after_seq: int) -> Spent:
        found = await self._events.read(after_seq, _MOST)
        ends = [s.event for s in found if _ended(s.event) and s.event.at >= since]
        cost_usd, tokens = _used(ends)
        return Spent(cost_usd, tokens, found[-1].seq if found else after_seq)

    async def spent_by_project(self, since: datetime) -> Mapping[str, Spent]:
        project_of = {run.run_id: run.project for run in await self._journal.runs(RunQuery(limit=_MOST))}
        ends: dict[str, list[BusEvent]] = {}
        for stored in await self._events.read(0, _MOST):
            event = stored.event
            if _ended(event) and event.at >= since:
                ends.setdefault(project_of.get(event.run_id or "", ""), []).append(event)
        spent = {project: Spent(*_used(found)) for project, found in ends.items()}
        return dict(sorted(spent.items(), key=lambda each: (-each[1].cost_usd, -each[1].tokens, each[0])))

    async def figures(self) -> Figures:
        now = self._clock.now()
        tasks = await self._tasks.list(TaskQuery(statuses=_UNFINISHED, limit=_MOST))
        queued = [task for task in tasks if task.status is TaskStatus.QUEUED]
        due = [task for task in queued if task.run_after is None or task.run_after <= now]
        runs = await self._journal.runs(RunQuery(open_only=True, limit=_MOST))
        views = await self._journal.views([run.run_id for run in runs])
        states = [views[run.run_id].state if run.run_id in views else AgentState.SPAWNING for run in runs]
        permissions = await self._journal.permissions()
        incidents = await self._incidents.incidents(IncidentQuery(open_only=True, limit=_MOST))
        return Figures(
            tasks=Counter((task.project, task.status.value) for task in tasks),
            oldest_queued_s={task.project: (now - task.created_at).total_seconds() for task in due},  # the last wins
            agents=Counter(state.value for state in states),
            incidents=Counter(incident.trouble.kind.value for incident in incidents),
            permissions=len(permissions),
            oldest_permission_s=(now - permissions[0].created_at).total_seconds() if permissions else 0.0,
        )
