"""The window of a run, for those who want to look or type."""

from __future__ import annotations

from ccm_orchestrator.domain.run import Run, RunState, WindowRef
from ccm_orchestrator.errors import WrongStatus


def window_of(run: Run) -> WindowRef:
    """Raises: WrongStatus when there is none."""
    if run.state is RunState.ENDED or run.window is None:
        why = f"has ended: {run.ending}" if run.state is RunState.ENDED else "has no window yet."
        raise WrongStatus(f"{run.name} {why}", run_id=run.run_id)
    return run.window
