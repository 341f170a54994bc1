"""The daemon's own log: standard error for whoever supervises it, and a file that is set aside now and then."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ccm_orchestrator.directories import make_directory
from ccm_orchestrator.telemetry.lines import formatter
from ccm_orchestrator.telemetry.log_file import LogFile, Rotation
from ccm_orchestrator.telemetry.masking import Masker
from ccm_orchestrator.telemetry.syslog import Syslog

LOG_FILE = "daemon.log"

_QUIET = {
    "httpx": logging.WARNING,
    "httpcore": logging.WARNING,
    "asyncio": logging.WARNING,
    "libtmux": logging.WARNING,  # below that it quotes what windows show
    "uvicorn": logging.WARNING,  # that it starts and stops is said by the daemon
    "websockets": logging.WARNING,  # below that it shows addresses and frames, with keys
    "realtime": logging.CRITICAL,  # it quotes rows; our subscriber says what matters
}

_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (0, 7))
"""Levels and what syslog calls them."""


@dataclass(frozen=True)
class LogOptions:
    level: str = "info"
    style: str = "text"
    """`text` or `json`."""
    rotation: Rotation = field(default_factory=Rotation)
    system_id: str = ""
    journal: bool = False
    """Standard error is read by journald, which has its own clock and wants to be told how bad a line is."""
    syslog: Path | None = None
    """The socket of a syslog daemon that gets the lines, too."""


class _JournalFormatter(logging.Formatter):
    """Each line begins with `<3>` and the like, from which journald takes the priority."""

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        priority = next(number for level, number in _PRIORITIES if record.levelno >= level)
        return "\n".join(f"<{priority}>{line}" for line in self._inner.format(record).split("\n"))


class _Once(logging.Formatter):
    """For two handlers, which show the same record one after the other."""

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner
        self._last: tuple[logging.LogRecord | None, str] = (None, "")

    def format(self, record: logging.LogRecord) -> str:
        last, text = self._last
        if record is not last:
            text = self._inner.format(record)
            self._last = record, text
        return text


def is_journal(environment: Mapping[str, str], descriptor: int = 2) -> bool:
    """Whether this file descriptor is the stream that systemd named in `JOURNAL_STREAM`, and not a file since."""
    try:
        device, inode = (int(part) for part in environment.get("JOURNAL_STREAM", "").split(":"))
        found = os.fstat(descriptor)
    except (ValueError, OSError):
        return False
    return (found.st_dev, found.st_ino) == (device, inode)


def configure_logs(directory: Path, options: LogOptions, masker: Masker | None = None) -> LogFile:
    """Everything that is logged in this process goes to stderr, to `directory/daemon.log` (0600) and to syslog."""
    masker = masker or Masker()
    make_directory(directory)
    file = LogFile(directory / LOG_FILE, options.rotation)
    lines: logging.Formatter = _Once(formatter(options.style, masker, options.system_id))
    file.setFormatter(lines)
    stderr = logging.StreamHandler()
    if options.journal:
        lines = _JournalFormatter(formatter(options.style, masker, options.system_id, timed=False))
    stderr.setFormatter(lines)
    handlers: list[logging.Handler] = [stderr, file]
    if options.syslog is not None:
        handlers.append(Syslog(options.syslog, formatter(options.style, masker, options.system_id, timed=False)))
    logging.basicConfig(level=options.level.upper(), handlers=handlers, force=True)
    for name, level in _QUIET.items():
        logging.getLogger(name).setLevel(level)
    return file


def log_whatever_happens() -> None:
    """Warnings, and errors that nobody caught, go to the log, too."""
    logging.captureWarnings(True)
    logging.raiseExceptions = False  # a stderr that nobody reads any more is no reason to write to it about that
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: object) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger(__name__).critical("the daemon ends by an error", exc_info=(kind, error, error.__traceback__))


def _log_uncaught_in_thread(found: threading.ExceptHookArgs) -> None:
    name = found.thread.name if found.thread else "?"
    error = found.exc_value or found.exc_type()
    info = (found.exc_type, error, found.exc_traceback)
    logging.getLogger(__name__).error("the thread %s ends by an error", name, exc_info=info)
