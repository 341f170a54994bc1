"""The daemon's own log: standard error for whoever supervises it, and a rotating file."""

from __future__ import annotations

import json
import logging
from logging.handlers import RotatingFileHandler
from pathlib import Path

MAX_BYTES = 10_000_000
KEPT_FILES = 5


class JsonFormatter(logging.Formatter):
    """One JSON object per record, so that no text of a task can forge a second one."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "at": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False).encode("utf-8", "replace").decode()


class LineFormatter(logging.Formatter):
    """One line per record; control characters are shown, not obeyed."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        return _shown(super().formatMessage(record))

    def formatException(self, ei: object) -> str:
        """Each line of a traceback begins with a bar, so that none of them can pass for a record."""
        lines = super().formatException(ei).splitlines()  # type: ignore[arg-type]
        return "\n".join(f"  | {_shown(line)}" for line in lines)


def _shown(line: str) -> str:
    return "".join(char if char.isprintable() or char == "\t" else repr(char)[1:-1] for char in line)


def configure_logs(directory: Path, level: str, style: str) -> None:
    """Logs go to stderr and to `directory/daemon.log` (0600). `style` is `text` or `json`."""
    formatter: logging.Formatter = JsonFormatter() if style == "json" else LineFormatter()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / "daemon.log"
    path.touch(mode=0o600)
    handlers: list[logging.Handler] = [
        logging.StreamHandler(),
        RotatingFileHandler(path, maxBytes=MAX_BYTES, backupCount=KEPT_FILES, encoding="utf-8"),
    ]
    for handler in handlers:
        handler.setFormatter(formatter)
    logging.basicConfig(level=level.upper(), handlers=handlers, force=True)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("websockets").setLevel(logging.WARNING)  # below that it shows addresses and frames, with keys
    logging.getLogger("realtime").setLevel(logging.CRITICAL)  # it quotes rows; our subscriber says what matters
