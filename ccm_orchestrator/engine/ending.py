"""How one run ended, as seen from this system, before the store has been told."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from ccm_orchestrator.domain.events import EventKind
from ccm_orchestrator.domain.result import Failure, FailureKind, Outcome, TaskResult
from ccm_orchestrator.domain.task import Hold, TaskStatus

ENDED = {
    Outcome.SUCCEEDED: EventKind.TASK_SUCCEEDED,
    Outcome.FAILED: EventKind.TASK_FAILED,
    Outcome.CANCELLED: EventKind.TASK_CANCELLED,
}
GIVEN_BACK = {TaskStatus.HELD: EventKind.TASK_HELD, TaskStatus.CANCELLED: EventKind.TASK_CANCELLED}
"""What a released task has become; anything else is queued again."""


@dataclass(frozen=True, slots=True)
class Ending:
    """`outcome` None: the run is abandoned without a word to the store (its claim was superseded)."""

    outcome: Outcome | None
    text: str = ""
    failure: Failure | None = None
    poison: bool = False
    hold: Hold | None = None
    """What the task waits for; None: what becomes of it, the failure says."""
    recorded: Outcome | None = None
    """The store knows this outcome already."""

    @classmethod
    def succeeded(cls, text: str) -> Ending:
        return cls(Outcome.SUCCEEDED, text)

    @classmethod
    def failed(cls, kind: FailureKind, message: str, text: str = "", resets_at: float | None = None) -> Ending:
        return cls(Outcome.FAILED, text, Failure(kind, message, resets_at))

    @classmethod
    def cancelled(cls) -> Ending:
        return cls(Outcome.CANCELLED)

    @classmethod
    def abandoned(cls) -> Ending:
        return cls(None)

    @property
    def sentence(self) -> str:
        if self.recorded is not None:
            return self.recorded.value
        if self.outcome is None:
            return "a newer claim of the task exists"
        return self.failure.message if self.failure else self.outcome.value


def figures(result: TaskResult) -> dict[str, object]:
    """What the event of an ended run tells of it beside sentences."""
    kind = result.failure.kind.value if result.failure else None
    return {"failure_kind": kind, "duration_s": result.duration_s, "usage": asdict(result.usage)}
