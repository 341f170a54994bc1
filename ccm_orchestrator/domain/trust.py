"""What a project's own files would do without being asked, and whether a person has approved it. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from ccm_orchestrator.domain.task import Hold, HoldReason, Task, TaskStatus

SHOWN_FILES = 5
_UNAPPROVED = "Nobody has approved what the project's own files do: "


@dataclass(frozen=True, slots=True)
class Risk:
    """One file that gives an agent orders, rights or programs of its own accord."""

    file: str
    """From the project's directory; absolute where it lies above the repository."""
    digest: str
    """Of all that matters in the file, and of the scripts that it names."""
    effects: tuple[str, ...]
    """For a person, one line each."""
    approvable: bool = True
    """False: it is too much to be looked at, so nobody can say what is approved; the last effect says why."""

    @property
    def key(self) -> tuple[str, str]:
        return self.file, self.digest


Approved = Collection[tuple[str, str]]
"""Keys of risks. What is approved once may be there, or be gone again; anything else is new."""


def unapproved(risks: Iterable[Risk], approved: Approved) -> tuple[Risk, ...]:
    return tuple(risk for risk in risks if not risk.approvable or risk.key not in approved)


def refusal(risks: Iterable[Risk]) -> str | None:
    """Why these cannot be approved; None: they can."""
    reasons = [f"{risk.file} {risk.effects[-1]}" for risk in risks if not risk.approvable]
    return f"That cannot be approved: {'; '.join(reasons[:SHOWN_FILES])}." if reasons else None


def fingerprint(risks: Iterable[Risk]) -> str:
    """What a person says to have seen. The order does not matter."""
    lines = sorted({f"{risk.file}\0{risk.digest}\n" for risk in risks})
    return hashlib.sha256("".join(lines).encode("utf-8", "backslashreplace")).hexdigest()


def merged(*found: Iterable[Risk]) -> tuple[Risk, ...]:
    """Each once, by file."""
    by_key = {risk.key: risk for risks in found for risk in risks}
    return tuple(by_key[key] for key in sorted(by_key))


def untrusted(project: str, risks: Sequence[Risk]) -> str:
    """Why a task of the project is held, and what to do."""
    files = ", ".join(risk.file for risk in risks[:SHOWN_FILES])
    more = f" and {len(risks) - SHOWN_FILES} more" if len(risks) > SHOWN_FILES else ""
    look = f"{_UNAPPROVED}{files}{more}. Look at it with `ccm-orchestrator project show {project}`"
    if (reason := refusal(risks)) is not None:
        return f"{look}. {reason} Change it, and release the task."
    return f"{look}, and approve it with `ccm-orchestrator project trust {project}`."


def untrusted_hold(project: str, risks: Sequence[Risk]) -> Hold:
    """Ends when the project is approved."""
    return Hold(HoldReason.APPROVAL, untrusted(project, risks))


def waits_for_trust(task: Task) -> bool:
    """It is held for nothing but that."""
    return task.status is TaskStatus.HELD and task.hold is not None and task.hold.detail.startswith(_UNAPPROVED)
