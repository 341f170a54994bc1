"""The sentences with which a store refuses, the same in every store."""

from __future__ import annotations

from ccm_orchestrator.domain.dialogue import PermissionRequest
from ccm_orchestrator.domain.task import Task
from ccm_orchestrator.errors import (
    DependencyCycle,
    Fenced,
    KeyNotFound,
    MessageNotFound,
    NotFound,
    PermissionNotFound,
    QueueFull,
    RuleNotFound,
    RunNotFound,
    SessionNotFound,
    StaleTerm,
    StandingAgentNotFound,
    TaskNotFound,
    UnknownDependency,
    UnknownProject,
    WrongStatus,
)

MIN_PREFIX = 4
"""Characters of a task's id that must be given at least."""


def task_not_found(task_id: str) -> TaskNotFound:
    return TaskNotFound(
        f"There is no task {task_id!r}; `ccm-orchestrator task list` shows those there are.", task_id=task_id
    )


def ambiguous_task(prefix: str) -> TaskNotFound:
    return TaskNotFound(f"More than one task begins with {prefix!r}: give more of the id.", task_id=prefix)


def task_gone(task_id: str, fence: int) -> Fenced:
    return Fenced(f"Task {task_id} does not exist any more.", task_id=task_id, fence=fence)


def unknown_project(name: str) -> UnknownProject:
    return UnknownProject(
        f"There is no project named {name!r}; add it with `ccm-orchestrator project add PATH`.", project=name
    )


def project_not_found(name: str) -> NotFound:
    return NotFound(
        f"There is no project named {name!r}; `ccm-orchestrator project list` shows those there are.", project=name
    )


def project_in_use(name: str, open_tasks: int) -> WrongStatus:
    return WrongStatus(
        f"Project {name!r} still has unfinished tasks ({open_tasks}): wait for them, or cancel them first.",
        project=name,
        open_tasks=open_tasks,
    )


def key_not_found(ref: str) -> KeyNotFound:
    return KeyNotFound(f"There is no API key {ref!r}; `ccm-orchestrator token list` shows those there are.", key=ref)


def ambiguous_key(ref: str) -> KeyNotFound:
    return KeyNotFound(f"More than one API key is named {ref!r}: give its prefix or its id.", key=ref)


def key_revoked(prefix: str) -> WrongStatus:
    return WrongStatus(f"The API key {prefix} is revoked: make a new one with `ccm-orchestrator token create`.")


def system_not_found(system_id: str) -> NotFound:
    return NotFound(
        f"There is no system {system_id!r}; `ccm-orchestrator system list` shows those there are.", system_id=system_id
    )


def unknown_dependency(task_id: str) -> UnknownDependency:
    return UnknownDependency(f"The task waits for task {task_id!r}, which does not exist.", task_id=task_id)


def dependency_cycle(task_id: str, after: tuple[str, ...]) -> DependencyCycle:
    return DependencyCycle(f"Task {task_id!r} would wait for itself, by way of {', '.join(after)}.", task_id=task_id)


def queue_full(queued: int, limit: int) -> QueueFull:
    return QueueFull(
        f"The queue is full ({queued} tasks wait, the limit is {limit}): wait for tasks to finish, "
        "or raise `queue_limit` in the configuration.",
        queued=queued,
        limit=limit,
    )


def dedup_key_taken(task: Task, rival_id: str) -> WrongStatus:
    return WrongStatus(
        f"Task {task.task_id} cannot be retried while task {rival_id} has the same dedup key {task.dedup_key!r}: "
        "cancel that one first.",
        task_id=task.task_id,
        rival_id=rival_id,
    )


def stale_term(term: int, current_term: int) -> StaleTerm:
    return StaleTerm(
        f"Orchestrator term {current_term} has begun, so term {term} can no longer write.",
        term=term,
        current_term=current_term,
    )


def run_not_found(run_id: str) -> RunNotFound:
    return RunNotFound(
        f"There is no run or agent {run_id!r}; `ccm-orchestrator agent list` shows those there are.", run_id=run_id
    )


def ambiguous_run(prefix: str) -> RunNotFound:
    return RunNotFound(f"More than one run begins with {prefix!r}: give more of the id.", run_id=prefix)


def standing_agent_not_found(ref: str) -> StandingAgentNotFound:
    return StandingAgentNotFound(f"There is no standing agent {ref!r}; create it, or look for its name.", agent=ref)


def ambiguous_standing_agent(name: str) -> StandingAgentNotFound:
    return StandingAgentNotFound(f"Several users have an agent {name!r}: give its id.", agent=name)


def standing_name_taken(name: str) -> WrongStatus:
    return WrongStatus(f"There is a standing agent {name!r} already: choose another name, or delete it.", agent=name)


def message_not_found(message_id: str) -> MessageNotFound:
    return MessageNotFound(f"There is no message {message_id!r}.", message_id=message_id)


def permission_not_found(request_id: str) -> PermissionNotFound:
    return PermissionNotFound(f"There is no permission request {request_id!r}.", request_id=request_id)


def session_not_found(session_id: str) -> SessionNotFound:
    return SessionNotFound(
        f"There is no session {session_id!r}; `GET /sessions` lists those there are.", session_id=session_id
    )


def ambiguous_permission(prefix: str) -> PermissionNotFound:
    return PermissionNotFound(
        f"More than one permission request begins with {prefix!r}: give more of the id.", request_id=prefix
    )


def rule_not_found(rule_id: str) -> RuleNotFound:
    return RuleNotFound(
        f"There is no stored approval rule {rule_id!r}; `ccm-orchestrator approval rule list` shows those there are.",
        rule_id=rule_id,
    )


def ambiguous_rule(prefix: str) -> RuleNotFound:
    return RuleNotFound(f"More than one approval rule begins with {prefix!r}: give more of the id.", rule_id=prefix)


def permission_closed(request: PermissionRequest) -> WrongStatus:
    by = f" by {request.verdict.decided_by}" if request.verdict else ""
    return WrongStatus(
        f"Permission request {request.request_id} is already {request.status}{by}.", status=request.status
    )
