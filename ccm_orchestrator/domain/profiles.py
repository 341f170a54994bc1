"""Profiles: named configurations of an agent."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from ccm_orchestrator.domain.dialogue import Expiry
from ccm_orchestrator.domain.run import Mode


class PermissionMode(StrEnum):
    """Claude Code's permission modes, in its own words (`default` is shown as "manual")."""

    DEFAULT = "default"
    ACCEPT_EDITS = "acceptEdits"
    PLAN = "plan"
    DONT_ASK = "dontAsk"
    BYPASS = "bypassPermissions"


@dataclass(frozen=True, slots=True)
class Profile:
    name: str
    driver: str = "claude"
    """`claude`, or `generic` for any command with markers on its screen."""
    mode: Mode = Mode.INTERACTIVE
    model: str | None = None
    """None: the agent's own default. A task's `model` wins."""
    permission_mode: PermissionMode = PermissionMode.ACCEPT_EDITS
    allowed_tools: tuple[str, ...] = ()
    disallowed_tools: tuple[str, ...] = ()
    system_prompt: str = ""
    """Appended to the agent's own."""
    end_marker: bool = False
    """Ask the agent to end its last message with `[DONE]` or `[ERROR] reason`, and believe that marker only."""
    time_limit_s: float | None = 4 * 3600.0
    inactivity_limit_s: float = 300.0
    """No sign of life for this long while working with no tool running: nudge once, then fail the attempt."""
    permission_timeout_s: float | None = None
    """A request that nobody answered for this long expires; None: it waits for ever."""
    permission_expiry: Expiry = Expiry.DENY
    elicitation_hold_s: float = 120.0
    """An MCP server's form waits this long for an answer from elsewhere, and then its agent's window shows it."""
    budget_usd: float | None = None
    memory_limit_mb: int = 2048
    env: dict[str, str] = field(default_factory=dict, repr=False)
    """Added to the agent's allow-listed environment; may hold secrets, so it does not print."""
    command: tuple[str, ...] = ()
    """`generic` driver only: the argv, in which `{prompt_file}`, `{marker_done}` and `{marker_error}` are replaced."""


BUILT_IN = (
    Profile("executor"),
    Profile("planning", permission_mode=PermissionMode.PLAN),
    Profile("brain", mode=Mode.PRINT, permission_mode=PermissionMode.DEFAULT),
)
"""Always there; a `[profiles.NAME]` table of the same name in the configuration replaces single fields."""
