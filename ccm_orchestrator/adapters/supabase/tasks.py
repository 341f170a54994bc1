"""The queue in Supabase: each operation is one call of a function, which is one transaction there."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ccm_orchestrator.adapters.supabase.changes import Changes
from ccm_orchestrator.adapters.supabase.client import RestClient
from ccm_orchestrator.adapters.supabase.health import HealthRecorder
from ccm_orchestrator.adapters.supabase.rows import read_project, read_result, read_system, read_task, readable
from ccm_orchestrator.domain.result import TaskResult
from ccm_orchestrator.domain.task import LeaseKey, NewTask, Task, TaskStatus, problem_with
from ccm_orchestrator.errors import InvalidProject, InvalidTask
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


class SupabaseTaskStore:
    """Where the port names no system, `system_id` is meant: this machine's."""

    def __init__(
        self,
        client: RestClient,
        system_id: str,
        queue_limit: int = 100,
        changes: Changes | None = None,
        recorder: HealthRecorder | None = None,
    ) -> None:
        self._client = client
        self._system_id = system_id
        self._queue_limit = queue_limit
        self._changes = changes or Changes()
        self._recorder = recorder or HealthRecorder()

    def hint(self) -> None:
        """Something may have become claimable or cancelled: `wait_for_change` returns. From any thread."""
        self._changes.happened()

    def set_live(self, live: bool) -> None:
        """Whether hints come at all; without them the queue is looked at more often. From any thread."""
        self._changes.set_live(live)

    async def enqueue(self, new: NewTask) -> tuple[Task, bool]:
        problem = problem_with(new)
        if problem:
            raise InvalidTask(problem)
        wish = asdict(new)
        if new.task_id is None:
            wish["task_id"] = uuid.uuid4().hex
        answer = await self._client.rpc("enqueue_task", {"p_task": wish, "p_queue_limit": self._queue_limit})
        with readable("an accepted task"):
            task, created = read_task(answer["task"]), bool(answer["created"])
        self._changes.happened()
        # an id of our own making that comes back is new, even if only the second call was answered
        return task, created or (new.task_id is None and task.task_id == wish["task_id"])

    async def get(self, task_id: str) -> Task:
        return read_task(await self._client.rpc("get_task", {"p_task_id": task_id}))

    async def list(self, query: TaskQuery) -> Sequence[Task]:
        if query.owner is not None:
            return ()  # the database alone knows whose tasks they are: users ask it with their own tokens
        params = {
            "p_statuses": sorted(query.statuses) or None,
            "p_project": query.project,
            "p_tag": query.tag,
            "p_before": query.before,
            "p_limit": query.limit,
        }
        return await self._tasks("list_tasks", params)

    async def counts(self, owner: str | None = None) -> Mapping[TaskStatus, int]:
        if owner is not None:
            return dict.fromkeys(TaskStatus, 0)  # as above
        answer = await self._client.rpc("task_counts", {})
        return {status: answer.get(status.value, 0) for status in TaskStatus}

    async def claim(self, request: ClaimRequest) -> Sequence[Task]:
        seen = self._changes.before_look()
        params = {
            "p_request_id": request.request_id,
            "p_system_id": request.system_id,
            "p_boot_id": request.boot_id,
            "p_count": request.count,
            "p_lease_s": request.lease_s,
        }
        claimed = await self._tasks("claim_tasks", params)
        self._changes.looked(seen)
        self._recorder.swept()
        return claimed

    async def renew(
        self, system_id: str, boot_id: str, keys: Sequence[LeaseKey], lease_s: float
    ) -> Mapping[str, LeaseAnswer]:
        params = {
            "p_system_id": system_id,
            "p_boot_id": boot_id,
            "p_keys": [asdict(key) for key in keys],
            "p_lease_s": lease_s,
        }
        answer = await self._client.rpc("renew_leases", params)
        with readable("answers about leases"):
            answers = answer["answers"]
            return {key.task_id: LeaseAnswer(answers[key.task_id]) for key in keys}

    async def begin(self, key: LeaseKey, run_id: str) -> Task:
        return await self._task("begin_task", key, p_run_id=run_id)

    async def mark(self, key: LeaseKey, status: TaskStatus) -> Task:
        return await self._task("mark_task", key, p_status=status)

    async def finish(self, key: LeaseKey, result: TaskResult) -> FinishAnswer:
        params = _fenced(key, p_result=asdict(result))
        answer = await self._client.rpc("finish_task", params)
        self._changes.happened()
        with readable("an answer to a finish"):
            return FinishAnswer(answer["answer"])

    async def release(self, key: LeaseKey, release: Release) -> Task:
        released = await self._task("release_task", key, p_release=asdict(release))
        self._changes.happened()
        return released

    async def cancel(self, task_id: str) -> Task:
        return await self._wish("cancel_task", task_id)

    async def retry(self, task_id: str) -> Task:
        return await self._wish("retry_task", task_id)

    async def unhold(self, task_id: str) -> Task:
        return await self._wish("unhold_task", task_id)

    async def rescue(self, system_id: str, takeover_grace_s: float) -> Sequence[Task]:
        params = {"p_system_id": system_id, "p_takeover_grace_s": takeover_grace_s}
        changed = await self._tasks("rescue_tasks", params)
        if changed:
            self._changes.happened()
        return changed

    async def adopt(self, key: LeaseKey, system_id: str, boot_id: str, lease_s: float) -> LeaseAnswer:
        params = _fenced(key, p_system_id=system_id, p_boot_id=boot_id, p_lease_s=lease_s)
        answer = await self._client.rpc("adopt_task", params)
        with readable("an answer to an adoption"):
            return LeaseAnswer(answer["answer"])

    async def late_results(self, task_id: str) -> Sequence[tuple[int, TaskResult]]:
        rows = await self._client.rpc("late_results", {"p_task_id": task_id}, list)
        with readable("late results"):
            return [(int(row["fence"]), read_result(row["result"])) for row in rows]

    async def wait_for_change(self, timeout_s: float) -> bool:
        return await self._changes.wait(timeout_s)

    async def add_project(self, project: Project) -> Project:
        """Announces that this machine has the project; the directory that is worked in is never read from there."""
        problem = problem_with_project(project)
        if problem:
            raise InvalidProject(problem)
        announced = {"name": project.name, "path": project.path, "profile": project.profile}
        params = {"p_system_id": self._system_id, "p_project": announced}
        stored = read_project(await self._client.rpc("add_project", params))
        self._changes.happened()
        return stored

    async def remove_project(self, name: str) -> None:
        params = {"p_system_id": self._system_id, "p_name": name}
        await self._client.rpc("remove_project", params, type(None))

    async def projects(self) -> Sequence[Project]:
        rows = await self._client.rpc("list_projects", {"p_system_id": self._system_id}, list)
        return [read_project(row) for row in rows]

    async def register_system(self, info: SystemInfo, boot_id: str) -> None:
        await self._client.rpc("register_system", {"p_system": asdict(info) | {"boot_id": boot_id}})

    async def systems(self) -> Sequence[SystemView]:
        """Those the credentials may see: all of them for people and secret keys."""
        return [read_system(row) for row in await self._client.rpc("list_systems", {}, list)]

    async def drain(self, system_id: str, draining: bool = True) -> None:
        await self._client.rpc("drain_system", {"p_system_id": system_id, "p_draining": draining})
        self._changes.happened()

    async def _task(self, function: str, key: LeaseKey, **params: object) -> Task:
        return read_task(await self._client.rpc(function, _fenced(key, **params)))

    async def _wish(self, function: str, task_id: str) -> Task:
        task = read_task(await self._client.rpc(function, {"p_task_id": task_id}))
        self._changes.happened()
        return task

    async def _tasks(self, function: str, params: Mapping[str, object]) -> Sequence[Task]:
        rows: list[Any] = await self._client.rpc(function, params, list)
        return [read_task(row) for row in rows]


def _fenced(key: LeaseKey, **params: object) -> Mapping[str, object]:
    return {"p_task_id": key.task_id, "p_fence": key.fence, **params}
