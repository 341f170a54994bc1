"""What the exit codes mean. They are stable: scripts may rely on them."""

from __future__ import annotations

from enum import IntEnum

from ccm_orchestrator.errors import DaemonUnreachable, InputError, OrchestratorError


class Exit(IntEnum):
    OK = 0
    FAILED = 1
    """Something went wrong that is no fault of the command; the sentence on stderr says what."""
    BAD_INPUT = 2
    """The command, its input or the configuration cannot be used, or what it names does not exist."""
    UNREACHABLE = 3
    """The daemon does not run (`status`), or does not answer."""
    TASK_FAILED = 4
    """`task wait`: a task failed."""
    TIMEOUT = 5
    """`task wait`, `agent send --wait`: the time given with `--timeout` ran out."""
    TASK_CANCELLED = 6
    """`task wait`: a task was cancelled."""
    TASK_HELD = 7
    """`task wait`: a task waits for a person to release it."""
    INTERRUPTED = 130


def exit_of(error: OrchestratorError) -> Exit:
    if isinstance(error, DaemonUnreachable):
        return Exit.UNREACHABLE
    return Exit.BAD_INPUT if isinstance(error, InputError) else Exit.FAILED
