"""The log for a syslog daemon on this machine, one message a line."""

from __future__ import annotations

import logging
import os
from logging.handlers import SysLogHandler
from pathlib import Path


class Syslog(SysLogHandler):
    """A syslog daemon that is not there, or does not read, costs lines and no time."""

    append_nul = False

    def __init__(self, path: Path, lines: logging.Formatter) -> None:
        """`path` is the daemon's socket, usually `/dev/log`."""
        super().__init__(str(path), SysLogHandler.LOG_DAEMON)
        self.ident = f"ccm-orchestrator[{os.getpid()}]: "
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        for line in self._lines.format(record).splitlines():
            message = logging.LogRecord(record.name, record.levelno, record.pathname, record.lineno, line, (), None)
            super().emit(message)

    def _connect_unixsocket(self, address: str) -> None:
        super()._connect_unixsocket(address)  # type: ignore[misc]  # there is no other place to make it not wait
        vars(self)["socket"].setblocking(False)
