"""What the daemon needs, checked one by one: what was found, why it matters, and the command that mends it."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ccm_orchestrator.errors import InputError, InvalidSettings
from ccm_orchestrator.settings import Settings, config_path, load_settings
from ccm_orchestrator.settings.sources import unknown_variables
from ccm_orchestrator.setup.check import Check, Verdict
from ccm_orchestrator.setup.probes import PROBES
from ccm_orchestrator.setup.probing import Place, Probe, run_probes

__all__ = ["Check", "Verdict", "examine", "listed"]

CONFIGURATION = "configuration"


async def examine(
    config: Path | None, environment: Mapping[str, str], only: Collection[str] = (), probes: Sequence[Probe] = PROBES
) -> list[Check]:
    """Changes nothing. With a configuration that cannot be used, the defaults are examined.

    `only`: names of probes, or of groups; empty: everything. Raises: InputError for one that does not exist.
    """
    known = {CONFIGURATION} | {word for probe in probes for word in (probe.name, probe.group.lower())}
    if unknown := sorted(set(map(str.lower, only)) - known):
        raise InputError(f"There is no check `{unknown[0]}`; `ccm-orchestrator doctor --list` names them.")
    wanted = set(map(str.lower, only)) or known
    settings, of_configuration = configuration(config)
    place = Place(settings, environment, config or config_path(), config)
    chosen = [probe for probe in probes if wanted & {probe.name, probe.group.lower()}]
    first = [replace(check, group="Configuration") for check in of_configuration] if CONFIGURATION in wanted else []
    return _by_group([*first, *await run_probes(chosen, place)])


def _by_group(checks: Sequence[Check]) -> list[Check]:
    groups = list(dict.fromkeys(check.group for check in checks))
    return sorted(checks, key=lambda check: groups.index(check.group))


def listed() -> list[Mapping[str, str]]:
    """Every probe: name, group, what it looks at."""
    about = "the configuration: syntax, unknown keys, values, misspelt variables"
    rows = [(CONFIGURATION, "Configuration", about), *((probe.name, probe.group, probe.about) for probe in PROBES)]
    return [{"name": name, "group": group, "about": about} for name, group, about in rows]


def configuration(file: Path | None) -> tuple[Settings, Iterable[Check]]:
    """Raises: nothing; what cannot be used is a check that failed."""
    path = file or config_path()
    try:
        settings = load_settings(file)
    except InvalidSettings as error:
        why, quoted = "The daemon does not start with a configuration that it cannot read.", shlex.quote(str(path))
        if "open to other users" in error.message and path.exists():
            failed = Check("configuration", Verdict.FAIL, error.message, why, "Close it.", f"chmod 600 {quoted}", True)
        else:
            command = f"${{EDITOR:-vi}} {quoted}"
            failed = Check("configuration", Verdict.FAIL, error.message, why, "Mend what the sentence says.", command)
        return Settings(), [failed]
    found = str(path) if path.exists() else f"defaults ({path} does not exist)"
    checks = [Check("configuration", Verdict.OK, found)]
    if unknown := unknown_variables():
        why = "They look like settings and are none: a misspelt name has no effect."
        fix = "Compare them with `ccm-orchestrator config get`, and unset those that are not needed."
        checks.append(Check("environment", Verdict.WARN, ", ".join(unknown), why, fix, f"unset {' '.join(unknown)}"))
    return settings, checks
