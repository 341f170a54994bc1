"""The kernel lock that a launcher holds for as long as any process of its run lives."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from ccm_orchestrator.adapters.rundir.layout import LOCK


def held(directory: Path) -> bool:
    """Probes with a shared lock that is given back at once; a launcher that comes just then tries again."""
    try:
        descriptor = os.open(directory / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
