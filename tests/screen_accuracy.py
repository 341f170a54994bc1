"""The corpus of recorded screens, and how well they are read.

`tests/screens/CASE/`: `screen.txt`, and `expected.json` with `version`, `signal` (null: the screen says nothing), and
for some signals `dialog` or `failure_kind`. A new case is a new folder. `make accuracy` prints the score per release.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from ccm_orchestrator.adapters.claude.screen import read_screen
from ccm_orchestrator.domain.agent import Evidence, Signal

CORPUS = Path(__file__).parent / "screens"
SEEN_AT = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


class Score(StrEnum):
    RIGHT = "right"
    WRONG = "wrong"
    UNKNOWN = "unknown"
    """Nothing was said of a screen that shows something."""


@dataclass(frozen=True)
class Case:
    name: str
    version: str
    screen: str
    expected: tuple[str | None, str | None]
    """Signal, and its dialog or kind of failure."""


def corpus() -> Sequence[Case]:
    return [_case(directory) for directory in sorted(CORPUS.iterdir()) if directory.is_dir()]


def said(screen: str) -> tuple[str | None, str | None]:
    evidence = read_screen(screen, SEEN_AT)
    return (None, None) if evidence is None else (evidence.signal.value, _kind(evidence))


def score(case: Case) -> Score:
    found = said(case.screen)
    if found == case.expected:
        return Score.RIGHT
    return Score.UNKNOWN if found[0] is None else Score.WRONG


def _case(directory: Path) -> Case:
    expected = json.loads((directory / "expected.json").read_text())
    kind = expected.get("dialog") or expected.get("failure_kind")
    return Case(directory.name, expected["version"], (directory / "screen.txt").read_text(), (expected["signal"], kind))


def _kind(evidence: Evidence) -> str | None:
    if evidence.signal is Signal.BLOCKED:
        return evidence.detail
    return str(evidence.data["failure_kind"]) if evidence.signal is Signal.TURN_FAILED else None
