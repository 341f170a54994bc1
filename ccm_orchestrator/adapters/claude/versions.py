"""Which releases of Claude Code we know, and which hook events each of them has."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from ccm_orchestrator.errors import AgentUnsupported

_RELEASE = re.compile(r"\A(\d+)\.(\d+)\.(\d+)(?=[\s-]|\Z)")


class Version(NamedTuple):
    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


OLDEST = Version(2, 1, 197)
NEWEST_TESTED = Version(2, 1, 329)

_EVENT_SINCE = {
    "SessionStart": OLDEST,
    "SessionEnd": OLDEST,
    "UserPromptSubmit": OLDEST,
    "PreToolUse": OLDEST,
    "PostToolUse": OLDEST,
    "PostToolUseFailure": OLDEST,
    "PermissionDenied": OLDEST,
    "Notification": OLDEST,
    "Elicitation": OLDEST,
    "SubagentStart": OLDEST,
    "SubagentStop": OLDEST,
    "Stop": OLDEST,
    "StopFailure": OLDEST,
    "PreCompact": OLDEST,
    "PostCompact": OLDEST,
    "PostModelSwitch": NEWEST_TESTED,
}
"""The events that are spooled. Each costs the agent a fork, so it is registered only where it says something that no
other witness does: `MessageDisplay` (one per piece of text) and `PostToolBatch` (the tool events once more) are not.
An event that the installed release does not know would open a dialog that blocks the agent."""


def parse_version(output: str) -> Version:
    """From `claude --version`: "2.1.329 (Claude Code)". Raises: AgentUnsupported."""
    found = _RELEASE.match(output.strip())
    if found is None or "Claude Code" not in output:
        shown = output.strip()[:80] or "nothing"
        raise AgentUnsupported(f"Expected `claude --version` to name a release of Claude Code, got: {shown}.")
    return Version(*(int(part) for part in found.groups()))


def require_supported(version: Version) -> None:
    """Raises: AgentUnsupported."""
    if version < OLDEST:
        raise AgentUnsupported(
            f"Claude Code {version} is too old, at least {OLDEST} is needed; run `claude update`, "
            "or `npm install -g @anthropic-ai/claude-code`.",
            version=str(version),
        )


def caution(version: Version) -> str:
    """One sentence about a release that nobody tested with this product, else empty."""
    if version <= NEWEST_TESTED:
        return ""
    return (
        f"Claude Code {version} is newer than the newest release tested with ccm-orchestrator, {NEWEST_TESTED}; "
        "if agents are misjudged, install that one."
    )


def spooled_events(version: Version) -> Sequence[str]:
    """The hook events to register, all of which that release knows."""
    return [event for event, since in _EVENT_SINCE.items() if version >= since]
