"""Waiting for a task: how long to look, and when to give up. Pure: the time is an argument."""

from __future__ import annotations

from ccm_orchestrator.client.answers import Task
from ccm_orchestrator.client.failures import WaitTimeout
from ccm_orchestrator.client.patience import Patience
from ccm_orchestrator.domain.task import is_settled
from ccm_orchestrator.errors import OrchestratorError

LOOK_S = 30.0
"""How long the daemon holds one look."""
PAUSE_S = 0.05
PAUSE_WHILE_AWAY_S = 1.0


class Waiting:
    def __init__(self, task: str, timeout_s: float | None, patience: Patience, now: float) -> None:
        self._task = task
        self._patience = patience
        self._deadline = None if timeout_s is None else now + timeout_s
        self._answered_at = now
        self._seen: Task | None = None
        self._pause_s = PAUSE_S

    def look_s(self, now: float) -> float:
        return LOOK_S if self._deadline is None else min(max(self._deadline - now, 0.0), LOOK_S)

    def answered(self, task: Task, now: float) -> bool:
        """Whether this was it."""
        self._answered_at, self._seen, self._pause_s = now, task, PAUSE_S
        return is_settled(task.status, task.hold)

    def missed(self, error: OrchestratorError, now: float) -> None:
        """Nobody answered, which a restart of the daemon may explain. Raises: the error, when that is too long ago."""
        self._pause_s = PAUSE_WHILE_AWAY_S
        if now - self._answered_at >= self._patience.absence_s:
            raise error

    def pause_s(self, now: float) -> float:
        """Until the next look. Raises: WaitTimeout, with the task as it was seen last."""
        if self._deadline is not None and now >= self._deadline:
            status = f"is {self._seen.status}" if self._seen else "was never seen"
            raise WaitTimeout(f"Task {self._task} {status}: the time to wait for it ran out.", task=self._seen)
        return self._pause_s
