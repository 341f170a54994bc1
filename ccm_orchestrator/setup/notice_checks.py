"""Whom people's messages go to."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

from ccm_orchestrator.settings import Settings
from ccm_orchestrator.setup.check import Check, Verdict
from ccm_orchestrator.wiring.targets import read_targets


def targets(settings: Settings) -> Iterator[Check]:
    found = read_targets(settings.notifications)
    if not found.usable and not found.left_out:
        yield Check("notifications", Verdict.OK, "no target is set: nobody is told")
        return
    why = "Nobody is told when something needs a person."
    if found.left_out:
        problems = "; ".join(f"{name}: {problem}" for name, problem in found.left_out.items())
        fix = "Mend what is said of each, or take it out of the configuration, and restart the daemon."
        yield Check("notifications", Verdict.FAIL, problems, why, fix, "ccm-orchestrator service restart")
    elif importlib.util.find_spec("apprise") is None:
        fix, command = "Install it beside ccm-orchestrator.", "pip install apprise"
        yield Check("notifications", Verdict.FAIL, "Apprise, which sends them, is not installed", why, fix, command)
    else:
        yield Check(
            "notifications", Verdict.OK, f"{len(found.usable)}: {', '.join(target.name for target in found.usable)}"
        )
