"""How often the daemon died in a row, what it said before that, and how long the next one therefore waits.

systemd restarts it for ever, and always after the same time: RestartSteps came only with systemd 254. So a daemon that
dies again and again waits by itself before it begins.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

from ccm_orchestrator.errors import InvalidSettings
from ccm_orchestrator.settings.writing import write_private

log = logging.getLogger(__name__)

FREE_DEATHS = 2
"""A daemon that was killed twice is back as soon as it can be."""
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0


def pause_s(deaths: int) -> float:
    """After so many deaths in a row: nothing, nothing, 1 s, 2 s, 4 s, … 60 s."""
    if deaths <= FREE_DEATHS:
        return 0.0
    return min(FIRST_PAUSE_S * 2.0 ** min(deaths - FREE_DEATHS - 1, 30), LONGEST_PAUSE_S)


@dataclass(frozen=True, slots=True)
class Past:
    deaths: int = 0
    """Starts in a row that no stop followed, and no long life."""
    gave_up: str = ""
    """What the last one said when it ended itself, because a loop of it hung; empty: it did not."""
    refused: str = ""
    """Why the last one could not start."""

    @property
    def why(self) -> str:
        """As far as it is known."""
        return self.gave_up or self.refused


class Starts:
    """Kept in a file, for the database may be what kills the daemon."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._deaths = 0

    def begin(self) -> Past:
        """Counts this start, as one that dies unless something else is said."""
        past = self._read()
        self._deaths = past.deaths + 1
        self._keep(Past(self._deaths))
        return past

    def steady(self) -> None:
        """It has been up for long: a death from now on is the first again."""
        self._deaths = 1
        self._keep(Past(1))

    def stopped(self) -> None:
        """In order: the next start has nothing to tell."""
        if self._deaths:
            self._keep(Past())

    def gave_up(self, sentence: str) -> None:
        """The process ends itself now; the next one tells of it. From any thread."""
        self._keep(Past(self._deaths, gave_up=sentence))

    def refused(self, sentence: str) -> None:
        """It cannot start."""
        if self._deaths:  # else the file is that of another daemon
            self._keep(Past(self._deaths, refused=sentence))

    def _read(self) -> Past:
        try:
            kept = json.loads(self._path.read_text(encoding="utf-8"))
            return Past(int(kept["deaths"]), str(kept.get("gave_up", "")), str(kept.get("refused", "")))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return Past()

    def _keep(self, past: Past) -> None:
        try:
            write_private(self._path, json.dumps(asdict(past)))
        except InvalidSettings as error:
            log.warning("this start is not counted: %s", error.message)
