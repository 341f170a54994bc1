"""Ending an agent's processes, as gently as the reason allows and as firmly as it takes."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from ccm_orchestrator.engine.live import LiveRun

log = logging.getLogger(__name__)

KILL_GRACE_S = 10.0
LOOK_S = 0.25


async def stop_agent(live: LiveRun, interrupt_first: bool) -> bool:
    """True when no process of the run is left; its ticket is revoked first, so none can come later.

    Interrupt → `interrupt_grace_s` → terminate the process group → `terminate_grace_s` → kill → 10 s.
    """
    launchpad, run_id = live.parts.launchpad, live.run.run_id
    limits = live.parts.limits
    await launchpad.revoke(run_id)
    steps: list[tuple[Callable[[str], Awaitable[bool]], float]] = [
        (launchpad.terminate, limits.terminate_grace_s),
        (launchpad.kill, KILL_GRACE_S),
    ]
    if interrupt_first:
        steps.insert(0, (launchpad.interrupt, limits.interrupt_grace_s))
    for act, grace_s in steps:
        if await _gone(live):
            await launchpad.kill(run_id)  # tools of an agent whose launcher died may be left
            return True
        live.check_term()
        await act(run_id)
        if await _wait_gone(live, grace_s):
            return True
    log.error("agent %s cannot be ended: some of its processes survive SIGKILL", live.run.name)
    return False


async def _gone(live: LiveRun) -> bool:
    trace = await live.parts.launchpad.trace(live.run.run_id)
    return not trace.lock_held and not trace.agent_alive


async def _wait_gone(live: LiveRun, grace_s: float) -> bool:
    deadline_s = live.parts.clock.uptime_s() + grace_s
    while not await _gone(live):
        if live.parts.clock.uptime_s() >= deadline_s:
            return False
        await live.wait(LOOK_S)
    return True
