"""Programs of the machine that are run to their end, and what they said."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence

from ccm_orchestrator.errors import OrchestratorError

COMMAND_TIMEOUT_S = 150.0
"""Longer than a start usually takes: `start` returns when the daemon is ready."""


def run(argv: Sequence[str], variables: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """`variables`: beside those that we have. Raises: OrchestratorError when it cannot be run or does not come back."""
    env = {**os.environ, **(variables or {})}
    try:
        return subprocess.run(argv, env=env, capture_output=True, text=True, check=False, timeout=COMMAND_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise OrchestratorError(f"`{' '.join(argv)}` cannot be run: {error}") from error


def must(argv: Sequence[str]) -> None:
    done = run(argv)
    if done.returncode:
        said = done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}"
        raise OrchestratorError(f"`{' '.join(argv)}` failed: {said}")
