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
    command: str = ""
    """Shell command that mends it, as it stands; empty where a person must choose."""
    safe: bool = False
    """Whether `--fix` may run the command: it ends nothing, loses nothing and starts nothing anew."""
    group: str = ""
    """What the check belongs to; set by whoever ran it."""
