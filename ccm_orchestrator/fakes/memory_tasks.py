"""The queue in memory."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ccm_orchestrator.domain import leasing, refusals
from ccm_orchestrator.domain.presence import Presence, heartbeat, may_take_over
from ccm_orchestrator.domain.queueing import Candidate, fairest_first, reaches, triage
from ccm_orchestrator.domain.result import TaskResult
from ccm_orchestrator.domain.routing import suits
from ccm_orchestrator.domain.task import (
    Lease,
    LeaseKey,
    NewTask,
    Task,
    TaskStatus,
    problem_with,
    stored_task,
)
from ccm_orchestrator.errors import Fenced, InvalidProject, InvalidTask
from ccm_orchestrator.ports.systems import SystemInfo, SystemView
from ccm_orchestrator.ports.tasks import (
    ClaimRequest,
    FinishAnswer,
    LeaseAnswer,
    Project,
    Release,
    TaskQuery,
    problem_with_project,
)
from ccm_orchestrator.ports.world import Clock

POLL_S = 0.005


class MemoryTaskStore:
    def __init__(self, clock: Clock, queue_limit: int = 100) -> None:
        self._clock = clock
        self._queue_limit = queue_limit
        self._lock = threading.RLock()
        self._tasks: dict[str, Task] = {}
        self._projects: dict[str, Project] = {}
        self._systems: dict[str, Presence] = {}
        self._infos: dict[str, SystemInfo] = {}
        self._claims: dict[str, dict[str, None]] = {}
        """By request id: the tasks it claimed whose runs have not begun."""
        self._outcomes: set[LeaseKey] = set()
        self._late: dict[str, list[tuple[int, TaskResult]]] = {}
        self._changes = 0
        self._changes_seen = 0

    async def enqueue(self, new: NewTask) -> tuple[Task, bool]:
        problem = problem_with(new)
        if problem:
            raise InvalidTask(problem)
        with self._lock:
            known = self._same(new)
            if known is not None:
                return known, False
            self._check(new)
            task = stored_task(new, new.task_id or uuid.uuid4().hex, self._clock.now())
            self._save(task)
            return task, True

    async def get(self, task_id: str) -> Task:
        with self._lock:
            return self._get(task_id)

    async def list(self, query: TaskQuery) -> Sequence[Task]:
        with self._lock:
            tasks = list(self._tasks.values())
            if query.before is not None:
                tasks = tasks[: tasks.index(self._get(query.before))]
        return [task for task in reversed(tasks) if _matches(task, query)][: query.limit]

    async def counts(self, owner: str | None = None) -> Mapping[TaskStatus, int]:
        with self._lock:
            counts = Counter(task.status for task in self._tasks.values() if owner in (None, task.owner))
        return {status: counts[status] for status in TaskStatus}

    async def claim(self, request: ClaimRequest) -> Sequence[Task]:
        with self._lock:
            self._changes_seen = self._changes
            now = self._clock.now()
            lease = leasing.lease_for(request.system_id, request.boot_id, request.lease_s, now)
            if request.request_id in self._claims:
                repeated = [self._tasks[task_id] for task_id in self._claims[request.request_id]]
                return [self._save(leasing.claim_repeated(task, lease, now), wake=False) for task in repeated]
            if self._heartbeat(request.system_id, request.boot_id).draining:
                return []
            chosen = self._choose(request)
            if chosen:
                self._claims[request.request_id] = dict.fromkeys(task.task_id for task in chosen)
            return [self._save(leasing.claimed(task, lease, now), wake=False) for task in chosen]

    async def renew(
        self, system_id: str, boot_id: str, keys: Sequence[LeaseKey], lease_s: float
    ) -> Mapping[str, LeaseAnswer]:
        with self._lock:
            draining = self._heartbeat(system_id, boot_id).draining
            lease = leasing.lease_for(system_id, boot_id, lease_s, self._clock.now())
            answers = {}
            for key in keys:
                answer = self._lease_again(key, lease, boot_id)
                answers[key.task_id] = LeaseAnswer.DRAIN if answer is LeaseAnswer.OK and draining else answer
            return answers

    async def begin(self, key: LeaseKey, run_id: str) -> Task:
        with self._lock:
            return self._save(leasing.begun(self._fenced(key), run_id, self._clock.now()), wake=False)

    async def mark(self, key: LeaseKey, status: TaskStatus) -> Task:
        with self._lock:
            return self._save(leasing.marked(self._fenced(key), status, self._clock.now()), wake=False)

    async def finish(self, key: LeaseKey, result: TaskResult) -> FinishAnswer:
        with self._lock:
            if key in self._outcomes:
                return FinishAnswer.ALREADY
            try:
                task = self._fenced(key)
            except Fenced:
                late = self._late.setdefault(key.task_id, [])
                if (key.fence, result) not in late:
                    late.append((key.fence, result))
                return FinishAnswer.FENCED
            self._outcomes.add(key)
            self._save(leasing.finished(task, result, self._clock.now()))
            return FinishAnswer.RECORDED

    async def release(self, key: LeaseKey, release: Release) -> Task:
        with self._lock:
            return self._save(leasing.released(self._fenced(key), release, self._clock.now()))

    async def cancel(self, task_id: str) -> Task:
        with self._lock:
            return self._save(leasing.cancel_asked(self._get(task_id), self._clock.now()))

    async def retry(self, task_id: str) -> Task:
        with self._lock:
            task = leasing.retried(self._get(task_id), self._clock.now())
            rival = self._live_with_key(task.dedup_key)
            if rival is not None and rival.task_id != task.task_id:
                raise refusals.dedup_key_taken(task, rival.task_id)
            return self._save(task)

    async def unhold(self, task_id: str) -> Task:
        with self._lock:
            return self._save(leasing.unheld(self._get(task_id), self._clock.now()))

    async def rescue(self, system_id: str, takeover_grace_s: float) -> Sequence[Task]:
        with self._lock:
            rescuer = self._heartbeat(system_id, None)
            changed = [self._rescued(task, rescuer, takeover_grace_s) for task in list(self._tasks.values())]
            return [self._save(task) for task in changed if task is not self._tasks[task.task_id]]

    async def adopt(self, key: LeaseKey, system_id: str, boot_id: str, lease_s: float) -> LeaseAnswer:
        with self._lock:
            self._heartbeat(system_id, boot_id)
            answer = self._lease_again(key, leasing.lease_for(system_id, boot_id, lease_s, self._clock.now()))
            if answer is not LeaseAnswer.FENCED:
                self._settle(key.task_id)
            return answer

    async def late_results(self, task_id: str) -> Sequence[tuple[int, TaskResult]]:
        with self._lock:
            return list(self._late.get(task_id, ()))

    async def wait_for_change(self, timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        while self._changes == self._changes_seen:
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(POLL_S)
        self._changes_seen = self._changes
        return True

    async def add_project(self, project: Project) -> Project:
        problem = problem_with_project(project)
        if problem:
            raise InvalidProject(problem)
        with self._lock:
            stored = replace(project, created_at=self._clock.now())
            self._projects[project.name] = stored
            self._changes += 1
            return stored

    async def remove_project(self, name: str) -> None:
        with self._lock:
            if name not in self._projects:
                raise refusals.project_not_found(name)
            open_tasks = sum(task.project == name and not task.status.terminal for task in self._tasks.values())
            if open_tasks:
                raise refusals.project_in_use(name, open_tasks)
            del self._projects[name]

    async def projects(self) -> Sequence[Project]:
        with self._lock:
            return [self._projects[name] for name in sorted(self._projects)]

    async def register_system(self, info: SystemInfo, boot_id: str) -> None:
        with self._lock:
            self._infos[info.system_id] = info
            self._heartbeat(info.system_id, boot_id)

    async def systems(self) -> Sequence[SystemView]:
        with self._lock:
            return [self._view(self._systems[system_id]) for system_id in sorted(self._systems)]

    async def drain(self, system_id: str, draining: bool = True) -> None:
        with self._lock:
            if system_id not in self._systems:
                raise refusals.system_not_found(system_id)
            self._systems[system_id] = replace(self._systems[system_id], draining=draining)
            self._changes += not draining

    def _info(self, system_id: str) -> SystemInfo:
        return self._infos.get(system_id) or SystemInfo(system_id, system_id, "", 0)

    def _view(self, present: Presence) -> SystemView:
        info = self._info(present.system_id)
        leases = [task.lease for task in self._tasks.values() if task.status.leased and task.lease]
        return SystemView(
            info.system_id,
            info.system_name,
            info.version,
            info.max_agents,
            info.labels,
            present.draining,
            present.last_seen,
            present.connected_since,
            silent_s=(self._clock.now() - present.last_seen).total_seconds(),
            leased=sum(lease.system_id == info.system_id for lease in leases),
        )

    def _save(self, task: Task, wake: bool = True) -> Task:
        if task.status not in leasing.UNBEGUN:
            self._settle(task.task_id)
        self._tasks[task.task_id] = task
        self._changes += wake
        return task

    def _settle(self, task_id: str) -> None:
        for claimed in self._claims.values():
            claimed.pop(task_id, None)

    def _get(self, task_id: str) -> Task:
        if task_id in self._tasks:
            return self._tasks[task_id]
        prefixed = len(task_id) >= refusals.MIN_PREFIX
        found = [known for known in self._tasks if prefixed and known.startswith(task_id)]
        if len(found) > 1:
            raise refusals.ambiguous_task(task_id)
        if not found:
            raise refusals.task_not_found(task_id)
        return self._tasks[found[0]]

    def _fenced(self, key: LeaseKey) -> Task:
        task = self._tasks.get(key.task_id)
        if task is None:
            raise refusals.task_gone(key.task_id, key.fence)
        leasing.check_fence(task, key)
        return task

    def _live_with_key(self, dedup_key: str | None) -> Task | None:
        if dedup_key is None:
            return None
        return next((t for t in self._tasks.values() if t.dedup_key == dedup_key and not t.status.terminal), None)

    def _same(self, new: NewTask) -> Task | None:
        return self._tasks.get(new.task_id or "") or self._live_with_key(new.dedup_key)

    def _check(self, new: NewTask) -> None:
        if new.project not in self._projects:
            raise refusals.unknown_project(new.project)
        for other in new.after:
            if other not in self._tasks:
                raise refusals.unknown_dependency(other)
        after = {task.task_id: task.after for task in self._tasks.values() if not task.status.terminal}
        if new.task_id is not None and reaches(new.after, new.task_id, after):
            raise refusals.dependency_cycle(new.task_id, new.after)
        queued = sum(task.status is TaskStatus.QUEUED for task in self._tasks.values())
        if queued >= self._queue_limit:
            raise refusals.queue_full(queued, self._queue_limit)

    def _choose(self, request: ClaimRequest) -> Sequence[Task]:
        queued = [task for task in self._tasks.values() if task.status is TaskStatus.QUEUED]
        statuses = {other: self._tasks[other].status for task in queued for other in task.after if other in self._tasks}
        sorted_out = triage([self._candidate(task, request) for task in queued], statuses, self._projects)
        for task_id, hold in sorted_out.holds.items():
            self._save(leasing.held(self._tasks[task_id], hold, self._clock.now()), wake=False)
        leased = Counter(task.project for task in self._tasks.values() if task.status.leased)
        order = fairest_first(sorted_out.claimable, leased)
        return [self._tasks[candidate.task_id] for _, candidate in zip(range(request.count), order, strict=False)]

    def _candidate(self, task: Task, request: ClaimRequest) -> Candidate:
        due = task.run_after is None or task.run_after <= self._clock.now()
        meant = suits(task.system_id, task.labels, request.system_id, self._info(request.system_id).labels)
        in_turn = task.options is not None and task.options.session_id is not None
        return Candidate(task.task_id, task.project, task.priority, task.after, due and meant, in_turn)

    def _heartbeat(self, system_id: str, boot_id: str | None) -> Presence:
        self._systems[system_id] = heartbeat(self._systems.get(system_id), system_id, boot_id, self._clock.now())
        return self._systems[system_id]

    def _lease_again(self, key: LeaseKey, lease: Lease, boot_id: str | None = None) -> LeaseAnswer:
        task = self._tasks.get(key.task_id)
        if task is None or not leasing.holds(task, key, lease.system_id, boot_id):
            return LeaseAnswer.FENCED
        self._save(leasing.renewed(task, lease, self._clock.now()), wake=False)
        return LeaseAnswer.CANCEL if task.cancel_requested_at else LeaseAnswer.OK

    def _rescued(self, task: Task, rescuer: Presence, grace_s: float) -> Task:
        now = self._clock.now()
        if task.status is TaskStatus.HELD:
            return leasing.hold_due(task, now) if self._hold_over(task) else task
        if not task.status.leased or not leasing.lease_expired(task, now):
            return task
        owner = self._systems.get(task.lease.system_id) if task.lease else None
        if task.status is TaskStatus.ORPHANED and may_take_over(task, owner, rescuer, grace_s, now):
            return leasing.taken_over(task, now)
        return task if task.status is TaskStatus.ORPHANED else leasing.orphaned(task, now)

    def _hold_over(self, task: Task) -> bool:
        return leasing.hold_is_over(task, [self._tasks[other].status for other in task.after], self._clock.now())


def _matches(task: Task, query: TaskQuery) -> bool:
    return (
        (not query.statuses or task.status in query.statuses)
        and (query.project is None or task.project == query.project)
        and (query.tag is None or query.tag in task.tags)
        and (query.owner is None or query.owner == task.owner)
    )
