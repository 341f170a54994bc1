"""An answer of ours that came after one in the terminal: what the agent then does shows which of the two it took.

Claude Code does not hang up when somebody says yes in its window, so for some tenths of a second an answer of ours is
taken for the first. A tool that ran all the same was not denied, and one that ran without the change that it was given
was allowed in the window.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime

from ccm_orchestrator.domain.agent import Evidence, Signal, Source
from ccm_orchestrator.domain.asking import call_digest
from ccm_orchestrator.domain.dialogue import Decision, PermissionRequest
from ccm_orchestrator.engine.live import LiveRun
from ccm_orchestrator.engine.permission_news import overrule

log = logging.getLogger(__name__)

MOST_CALLS = 1000
"""Under way at once: one whose end is never told is forgotten at last."""
_ENDS = frozenset({Signal.TOOL_FINISHED, Signal.TOOL_FAILED})


class Overruling:
    def __init__(self, live: LiveRun) -> None:
        self._live = live
        self._started: dict[object, tuple[str, datetime]] = {}

    async def take(self, item: Evidence) -> None:
        """`call` in the data of an end says what ran; a call that was refused has none."""
        use, digest = item.data.get("tool_use_id"), str(item.data.get("call", ""))
        if item.source is not Source.HOOK or not use:
            return
        if item.signal is Signal.TOOL_STARTED and digest:
            self._started[use] = digest, item.at
            if len(self._started) > MOST_CALLS:
                del self._started[next(iter(self._started))]
        elif item.signal in _ENDS:
            begun, since = self._started.pop(use, (digest, None))
            if digest:
                await self._ran(begun, since, digest)

    async def _ran(self, begun: str, since: datetime | None, ran: str) -> None:
        """`since` None: it began before this daemon did."""
        parts = self._live.parts
        request = _about(await parts.journal.permissions_since(self._live.run.run_id, since), begun)
        if request is not None and _is_belied(request, ran):
            log.warning("%s was answered in its terminal before the answer from elsewhere came", self._live.run.name)
            await overrule(parts.journal, parts.bus, parts.clock, request)


def _about(newest_first: Iterable[PermissionRequest], call: str) -> PermissionRequest | None:
    """The newest request for this call; None: it was not asked about."""
    return next((one for one in newest_first if call_digest(one.tool_name, one.tool_input) == call), None)


def _is_belied(request: PermissionRequest, ran: str) -> bool:
    verdict = request.verdict
    if verdict is None or verdict.decision is Decision.DENY:
        return verdict is not None
    if verdict.updated_input is None:
        return False
    asked, changed = (call_digest(request.tool_name, given) for given in (request.tool_input, verdict.updated_input))
    return ran == asked != changed
