"""The task stores that one system serves: the embedded one, and those that it shares with other machines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ccm_orchestrator.domain.task import Task
from ccm_orchestrator.errors import (
    InputError,
    SchemaTooNew,
    SchemaTooOld,
    StoreError,
    StoreRefused,
    StoreUnavailable,
    TaskNotFound,
)
from ccm_orchestrator.ports.reporting import Reports
from ccm_orchestrator.ports.tasks import TaskStore

LOCAL = "local"
UNAVAILABLE_PAUSE_S = 2.0
REFUSED_PAUSE_S = 60.0
"""A store that wants a person to mend something is not hammered."""
_NEEDS_PERSON = (StoreRefused, SchemaTooOld, SchemaTooNew)


def pause_after(error: StoreError) -> float:
    """Seconds until it is worth asking again."""
    return REFUSED_PAUSE_S if isinstance(error, _NEEDS_PERSON) else UNAVAILABLE_PAUSE_S


@dataclass(frozen=True, slots=True)
class Queue:
    """One task store."""

    name: str
    store: TaskStore
    reports: Reports | None = None
    """Set: the store is somewhere else. It may be away for hours, and nothing that is done here waits for it."""

    @property
    def remote(self) -> bool:
        return self.reports is not None


class Queues:
    """All of them by name; the embedded one comes first."""

    def __init__(
        self, local: TaskStore, remotes: Sequence[Queue] = (), out_of_reach: Mapping[str, str] | None = None
    ) -> None:
        """`out_of_reach`: stores that are configured and cannot be asked from here, each with the sentence why."""
        self._queues = {queue.name: queue for queue in (Queue(LOCAL, local), *remotes)}
        self.out_of_reach = out_of_reach or {}

    def __iter__(self) -> Iterator[Queue]:
        return iter(self._queues.values())

    def __len__(self) -> int:
        return len(self._queues)

    @property
    def local(self) -> TaskStore:
        return self._queues[LOCAL].store

    @property
    def remotes(self) -> Sequence[Queue]:
        return [queue for queue in self if queue.remote]

    def get(self, name: str) -> Queue | None:
        return self._queues.get(name)

    def named(self, name: str) -> Queue:
        """Raises: InputError; StoreUnavailable when it cannot be asked from here."""
        queue = self._queues.get(name)
        if queue is None and name in self.out_of_reach:
            raise StoreUnavailable(self.out_of_reach[name], store=name)
        if queue is None:
            raise InputError(f"There is no task store {name!r} here; there are: {', '.join(self._queues)}.", store=name)
        return queue

    async def is_over(self, task_id: str) -> bool:
        """Of a task that a store which does not answer may know, it is not said."""
        try:
            return (await self.find(task_id))[1].status.terminal
        except TaskNotFound:
            return True
        except StoreError:
            return False

    async def find(self, task_id: str) -> tuple[Queue, Task]:
        """By id or unique prefix, the embedded store's own first.

        Raises: TaskNotFound; StoreUnavailable and its kin when a store that may know it does not answer.
        """
        missing: TaskNotFound | None = None
        for queue in self:
            try:
                return queue, await queue.store.get(task_id)
            except TaskNotFound as error:
                missing = missing or error
        for sentence in self.out_of_reach.values():
            raise StoreUnavailable(f"{missing} {sentence}")
        assert missing is not None
        raise missing
