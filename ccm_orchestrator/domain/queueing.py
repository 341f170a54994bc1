"""Which queued tasks may be claimed, in which order, and which can never be. Pure."""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from ccm_orchestrator.domain.task import Hold, HoldReason, TaskStatus


@dataclass(frozen=True, slots=True)
class Candidate:
    """A queued task, as far as choosing needs it."""

    task_id: str
    project: str
    priority: int
    after: tuple[str, ...]
    ready: bool
    """Its `run_after` has come, and it is meant for the system that asks."""
    in_turn: bool = False
    """It goes on with a conversation: what it waits for must have ended, but need not have succeeded."""


@dataclass(frozen=True, slots=True)
class Triage:
    claimable: Sequence[Candidate]
    """In the order given."""
    holds: Mapping[str, Hold]
    """By task id: tasks that can never be claimed as they are."""


def triage(queued: Sequence[Candidate], dependencies: Mapping[str, TaskStatus], projects: Collection[str]) -> Triage:
    """`dependencies`: the status of every task that a candidate waits for, as far as it exists."""
    circular = _circular({candidate.task_id: candidate.after for candidate in queued if candidate.after})
    claimable, holds = [], {}
    for candidate in queued:
        hold = _hold(candidate, dependencies, projects, circular)
        if hold is not None:
            holds[candidate.task_id] = hold
        elif candidate.ready and all(_lets_go(dependencies[other], candidate) for other in candidate.after):
            claimable.append(candidate)
    return Triage(claimable, holds)


def _lets_go(dependency: TaskStatus, candidate: Candidate) -> bool:
    return dependency.terminal if candidate.in_turn else dependency is TaskStatus.SUCCEEDED


def fairest_first(claimable: Sequence[Candidate], leased: Mapping[str, int]) -> Iterator[Candidate]:
    """By priority, then the project with fewest leased tasks (each one yielded counts), then the order given."""
    load = defaultdict(int, leased)
    by_priority = sorted(enumerate(claimable), key=lambda entry: -entry[1].priority)
    for _, level in groupby(by_priority, key=lambda entry: entry[1].priority):
        lanes: dict[str, deque[tuple[int, Candidate]]] = defaultdict(deque)
        for position, candidate in level:
            lanes[candidate.project].append((position, candidate))
        heap = [(load[project], lane[0][0], project) for project, lane in lanes.items()]
        heapq.heapify(heap)
        while heap:
            _, _, project = heapq.heappop(heap)
            yield lanes[project].popleft()[1]
            load[project] += 1
            if lanes[project]:
                heapq.heappush(heap, (load[project], lanes[project][0][0], project))


def dependency_hold(task_id: str, status: TaskStatus) -> Hold:
    return Hold(
        HoldReason.DEPENDENCY,
        f"It waits for task {task_id}, which {'failed' if status is TaskStatus.FAILED else 'was cancelled'}: "
        f"`ccm-orchestrator task retry {task_id}`, or cancel this one.",
    )


def reaches(start: Collection[str], goal: str, after: Mapping[str, Sequence[str]]) -> bool:
    """Whether waiting for `start` means, at last, waiting for `goal`."""
    pending, seen = list(start), set(start)
    while pending:
        task_id = pending.pop()
        if task_id == goal:
            return True
        fresh = [other for other in after.get(task_id, ()) if other not in seen]
        seen.update(fresh)
        pending.extend(fresh)
    return False


def _hold(
    candidate: Candidate,
    dependencies: Mapping[str, TaskStatus],
    projects: Collection[str],
    circular: Collection[str],
) -> Hold | None:
    if candidate.project not in projects:
        return Hold(
            HoldReason.INVALID,
            f"There is no project named {candidate.project[:100]!r}: add it with `ccm-orchestrator project add PATH`, "
            f"then `ccm-orchestrator task release {candidate.task_id}`.",
        )
    if candidate.task_id in circular:
        return Hold(
            HoldReason.INVALID, "It waits for itself, by way of the tasks in its `after`: take one of them out."
        )
    for other in candidate.after:
        status = dependencies.get(other)
        if status is None:
            return Hold(
                HoldReason.INVALID, f"It waits for task {other[:100]!r}, which does not exist: mend its `after`."
            )
        if status in (TaskStatus.FAILED, TaskStatus.CANCELLED) and not candidate.in_turn:
            return dependency_hold(other, status)
    return None


def _circular(after: Mapping[str, Sequence[str]]) -> set[str]:
    """Tasks that wait for themselves: strip those that wait for nothing here, again and again, from both ends."""
    waiting = {task_id: {other for other in others if other in after} for task_id, others in after.items()}
    return _stripped(_reversed(_stripped(waiting))).keys() & waiting.keys()


def _stripped(edges: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Without the nodes from which no cycle can be reached."""
    remaining = {node: set(targets) for node, targets in edges.items()}
    sources = _reversed(remaining)
    ends = [node for node, targets in remaining.items() if not targets]
    while ends:
        node = ends.pop()
        del remaining[node]
        for source in sources[node]:
            remaining[source].discard(node)
            if not remaining[source]:
                ends.append(source)
    return remaining


def _reversed(edges: Mapping[str, set[str]]) -> dict[str, set[str]]:
    result: dict[str, set[str]] = {node: set() for node in edges}
    for node, targets in edges.items():
        for target in targets:
            result[target].add(node)
    return result
