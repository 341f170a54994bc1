"""Where Claude Code keeps what it knows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ccm_orchestrator.adapters.plain_files import content_of


@dataclass(frozen=True, slots=True)
class ConfigPaths:
    """The places of one user, or of one `CLAUDE_CONFIG_DIR`."""

    directory: Path
    state_file: Path
    """`.claude.json`: onboarding, approved keys, trusted directories."""

    @property
    def sessions(self) -> Path:
        """The registry: one `PID.json` per interactive process."""
        return self.directory / "sessions"


def config_paths(env: Mapping[str, str]) -> ConfigPaths:
    """As an agent with this environment finds them."""
    configured = env.get("CLAUDE_CONFIG_DIR")
    if configured:
        return ConfigPaths(Path(configured), Path(configured) / ".claude.json")
    home = Path(env.get("HOME") or Path.home())
    return ConfigPaths(home / ".claude", home / ".claude.json")


def launched_paths(run_directory: Path, default: ConfigPaths) -> ConfigPaths:
    """Those of the agent that was launched there: a profile may have given it another `CLAUDE_CONFIG_DIR`."""
    try:
        env = json.loads(content_of(run_directory / "launch.json"))["env"]
        return config_paths(env)
    except (OSError, ValueError, KeyError, TypeError):
        return default
