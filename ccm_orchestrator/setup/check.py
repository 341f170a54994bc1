"""The result of one check."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    OK = "ok"
    WARN = "warn"
    """Works, with a drawback that a person should know."""
    FAIL = "fail"
    """The main job cannot work like this."""


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    verdict: Verdict
    found: str
    why: str = ""
    """Why it matters; empty when it is ok."""
    fix: str = ""
    """What to do; empty when it is ok."""
