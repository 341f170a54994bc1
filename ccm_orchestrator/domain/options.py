"""What one task changes in the profile that it runs with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RunOptions:
    """For sessions and standing agents, whose runs are tasks of the embedded store; other stores do not keep them."""

    session_id: str | None = None
    """The conversation: gone on with when the agent has kept it, else begun under this id (a UUID).
    Its tasks take turns: those named in `after` must have ended before, but need not have succeeded."""
    resume: bool = False
    """It must be gone on with: an agent that has not kept it fails."""
    print_mode: bool | None = None
    """None: the profile's mode; True: print mode, which streams its lines; False: interactive."""
    allowed_tools: tuple[str, ...] | None = None
    """Replaces the profile's; None: the profile's."""
    system_prompt: str = ""
    """Appended after the profile's."""
    flags: tuple[str, ...] = ()
    """Further arguments of the agent's command line, from an allow-list."""
    directory: Path | None = None
    """Where it works; None: the project's directory."""
    linger_s: float = 0.0
    """An interactive agent that finished its turn stays for so long, and takes messages, before its run ends."""
