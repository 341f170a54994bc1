"""The daemon as a process: its signals, the limit to its stop, and what it does when it may not even begin."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from ccm_orchestrator.errors import OrchestratorError
from ccm_orchestrator.settings import Settings
from ccm_orchestrator.settings.sources import config_path
from ccm_orchestrator.wiring.announcing import Announcer
from ccm_orchestrator.wiring.daemon import EXIT_HUNG, Daemon

log = logging.getLogger(__name__)

STOP_LIMIT_S = 9.0
"""From the wish to stop to the end of the process, whatever does not come back meanwhile."""
REFUSED_PAUSE_S = 60.0
LOOK_S = 0.5


def hold_back(error: OrchestratorError, config: Path | None) -> None:
    """Before a daemon ends that its service manager would at once start in vain again.

    It tells the manager why, and waits: until the configuration is changed, or for a minute.
    """
    announcer = Announcer()
    if not announcer.heard:
        return
    announcer.working(f"cannot start: {error.message}", REFUSED_PAUSE_S)
    file = config or config_path()
    before, until_s = _look(file), time.monotonic() + REFUSED_PAUSE_S
    while time.monotonic() < until_s and _look(file) == before:
        time.sleep(LOOK_S)


def _look(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino


def serve(settings: Settings) -> int:
    """Runs the daemon until SIGTERM or SIGINT; the exit code. Raises: OrchestratorError when it cannot start."""
    return asyncio.run(_serve(settings, dict(os.environ)))


def _limit_stop() -> None:
    """Nothing is lost by it: whatever was acknowledged is durable, and agents do not notice."""

    def end() -> None:
        log.error("the stop did not come to its end within %g s; the process ends now", STOP_LIMIT_S)
        os._exit(EXIT_HUNG)

    timer = threading.Timer(STOP_LIMIT_S, end)
    timer.daemon = True
    timer.start()


async def _serve(settings: Settings, environment: Mapping[str, str]) -> int:
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    daemon = Daemon(settings, environment)
    loop.add_signal_handler(signal.SIGHUP, asked.set if sys.stdin and sys.stdin.isatty() else daemon.reopen_log)
    start, stop = asyncio.create_task(daemon.start()), asyncio.create_task(asked.wait())
    try:
        await asyncio.wait({start, stop}, return_when=asyncio.FIRST_COMPLETED)
        if start.done():
            start.result()
            await _until(stop, daemon)
        log.info("stopping; agents live on")
    finally:
        _limit_stop()
        start.cancel()
        stop.cancel()
        await asyncio.gather(start, stop, return_exceptions=True)
        await daemon.stop()
    return 0


async def _until(stop: asyncio.Task[bool], daemon: Daemon) -> None:
    """Raises: ApiLost."""
    serving = asyncio.create_task(daemon.serve())
    try:
        await asyncio.wait({serving, stop}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
    finally:
        serving.cancel()
