"""Whom people's messages go to."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

from ccm_orchestrator.settings import Settings
from ccm_orchestrator.setup.check import Check, Verdict


def targets(settings: Settings) -> Iterator[Check]:
    named = settings.notifications.targets
    if not named:
        yield Check("notifications", Verdict.OK, "no target is set: nobody is told")
        return
    why = "Nobody is told when something needs a person."
    without = [name for name, target in named.items() if target.url is None and target.url_file is None]
    if without:
        fix = "Set `url_file` of each, or take it out of the configuration."
        yield Check("notifications", Verdict.FAIL, f"without an address: {', '.join(without)}", why, fix)
    elif importlib.util.find_spec("apprise") is None:
        fix, command = "Install it beside ccm-orchestrator.", "pip install apprise"
        yield Check("notifications", Verdict.FAIL, "Apprise, which sends them, is not installed", why, fix, command)
    else:
        yield Check("notifications", Verdict.OK, f"{len(named)}: {', '.join(named)}")
