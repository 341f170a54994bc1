"""How often this daemon was started without having been stopped: beside the database, which may be what is broken."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

from ccm_orchestrator.errors import InvalidSettings
from ccm_orchestrator.settings.writing import write_private

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Starts:
    deaths: int = 0
    """Starts in a row that were not followed by a stop."""
    gave_up: str = ""
    """What the last one said when it ended itself; empty: it did not."""


def read_starts(path: Path) -> Starts:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        return Starts(int(known["deaths"]), str(known.get("gave_up", "")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Starts()


def keep_starts(path: Path, starts: Starts) -> None:
    try:
        write_private(path, json.dumps(asdict(starts)))
    except InvalidSettings as error:
        log.warning("this start is not counted: %s", error.message)
