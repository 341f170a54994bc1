"""Taking work in: the task, what is told of it and who handed it in become durable together, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ccm_orchestrator.domain.task import NewTask, Task
from ccm_orchestrator.ports.beside import Beside


@dataclass(frozen=True, slots=True)
class Accepted:
    task: Task
    is_new: bool
    audited: bool = False
    """The entry of the audit log is stored, too. A log that cannot be written keeps no task from being accepted."""


class Acceptance(Protocol):
    """Of the embedded store."""

    async def accept(self, new: NewTask, beside: Callable[[Task], Beside]) -> Accepted:
        """As `TaskStore.enqueue`, in one commit with what stands beside a task that is new.

        An empty `profile` means the project's, else `executor`. `beside` may be called in any thread.
        """
