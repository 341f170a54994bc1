"""What the daemon needs, checked one by one: what was found, why it matters, what to do."""

from __future__ import annotations

import platform
import sqlite3
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from ccm_orchestrator.errors import InvalidSettings
from ccm_orchestrator.settings import Settings, config_path, load_settings
from ccm_orchestrator.settings.sources import unknown_variables
from ccm_orchestrator.setup import agent_checks, door_checks, program_checks, state_checks, supabase_checks
from ccm_orchestrator.setup.check import Check, Verdict

__all__ = ["Check", "Verdict", "examine"]


async def examine(config: Path | None, environment: Mapping[str, str]) -> list[Check]:
    """Changes nothing. With a configuration that cannot be used, the defaults are examined."""
    settings, of_configuration = configuration(config)
    return [
        program_checks.python(sys.version_info[:3]),
        *of_configuration,
        program_checks.sqlite(sqlite3.sqlite_version_info),
        program_checks.tmux(),
        program_checks.git(environment),
        *await agent_checks.claude(settings.claude.executable, environment),
        state_checks.directory(settings.state_directory),
        state_checks.free_space(settings.state_directory),
        *state_checks.database(settings.database),
        await state_checks.port(settings),
        *door_checks.second_door(settings, datetime.now(UTC)),
        *await door_checks.users(settings, environment),
        *await supabase_checks.supabase(settings, environment),
        program_checks.platform_support(platform.system()),
    ]


def configuration(file: Path | None) -> tuple[Settings, Iterable[Check]]:
    """Raises: nothing; what cannot be used is a check that failed."""
    path = file or config_path()
    try:
        settings = load_settings(file)
    except InvalidSettings as error:
        why = "The daemon does not start with a configuration that it cannot read."
        failed = Check("configuration", Verdict.FAIL, error.message, why, "Mend what the sentence says.")
        return Settings(), [failed]
    found = str(path) if path.exists() else f"defaults ({path} does not exist)"
    checks = [Check("configuration", Verdict.OK, found)]
    if unknown := unknown_variables():
        why = "They look like settings and are none: a misspelt name has no effect."
        fix = "Compare them with `ccm-orchestrator config get`, and unset those that are not needed."
        checks.append(Check("environment", Verdict.WARN, ", ".join(unknown), why, fix))
    return settings, checks
