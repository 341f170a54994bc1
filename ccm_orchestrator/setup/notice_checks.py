"""Whom people's messages go to."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Mapping, Sequence

from ccm_orchestrator.adapters.apprise.carrier import AppriseCarrier
from ccm_orchestrator.domain.telling import NoticeTarget
from ccm_orchestrator.settings import Settings
from ccm_orchestrator.setup.check import Check, Verdict
from ccm_orchestrator.wiring.targets import read_targets


async def targets(settings: Settings) -> Check:
    """Also whether Apprise understands each address. Nothing is sent."""
    found = read_targets(settings.notifications)
    if not found.usable and not found.left_out:
        return Check("notifications", Verdict.OK, "no target is set: nobody is told")
    why = "Nobody is told when something needs a person."
    if importlib.util.find_spec("apprise") is None:
        fix, command = "Install it beside ccm-orchestrator.", "pip install apprise"
        return Check("notifications", Verdict.FAIL, "Apprise, which sends them, is not installed", why, fix, command)
    problems = {**found.left_out, **await _not_understood(found.usable, settings.notifications.timeout_s)}
    if not problems:
        names = ", ".join(target.name for target in found.usable)
        return Check("notifications", Verdict.OK, f"{len(found.usable)}: {names}")
    said = "; ".join(f"{name}: {problem}" for name, problem in problems.items())
    fix = (
        f"Mend `url` or `url_file` of {', '.join(f'`notifications.targets.{name}`' for name in problems)} in the "
        "configuration (docs/notifications.md has examples), or take it out, and restart the daemon."
    )
    return Check("notifications", Verdict.FAIL, said, why, fix, "ccm-orchestrator service restart")


async def _not_understood(usable: Sequence[NoticeTarget], timeout_s: float) -> Mapping[str, str]:
    """By name, without the secrets of an address."""
    carrier = AppriseCarrier(timeout_s)
    found = await asyncio.gather(*(carrier.problem_with(target.url) for target in usable))
    return {target.name: problem for target, problem in zip(usable, found, strict=True) if problem is not None}
