"""A "Yes" in the terminal that came before our "No": its tool runs, and what was told as denied was not.

Claude Code does not hang up when somebody says yes in its window, so an answer of ours is taken for the first until the
tool is seen to have run. That is the proof: a call that was under way when its request was made, and that finished or
failed.
"""

from __future__ import annotations

import logging
from datetime import datetime

from ccm_orchestrator.domain.agent import Evidence, Signal, Source
from ccm_orchestrator.domain.asking import call_digest
from ccm_orchestrator.domain.dialogue import Decision, PermissionRequest
from ccm_orchestrator.engine.live import LiveRun
from ccm_orchestrator.engine.permission_news import overrule

log = logging.getLogger(__name__)

MOST_CALLS = 1000
"""Under way at once: one whose end is never told is forgotten at last."""


class Overruling:
    def __init__(self, live: LiveRun) -> None:
        self._live = live
        self._started: dict[object, tuple[str, datetime]] = {}

    async def take(self, item: Evidence) -> None:
        use = item.data.get("tool_use_id")
        if item.source is not Source.HOOK or not use:
            return
        if item.signal is Signal.TOOL_STARTED and (digest := item.data.get("call")):
            self._started[use] = str(digest), item.at
            if len(self._started) > MOST_CALLS:
                del self._started[next(iter(self._started))]
        elif item.signal in (Signal.TOOL_FINISHED, Signal.TOOL_FAILED):
            call = self._started.pop(use, None)
            if call is not None and (item.signal is Signal.TOOL_FINISHED or item.data.get("ran")):
                await self._ran(*call)

    async def _ran(self, digest: str, started_at: datetime) -> None:
        parts = self._live.parts
        for request in await parts.journal.permissions(self._live.run.run_id, open_only=False):
            if request.created_at >= started_at and _is_denied(request, digest):
                log.warning("%s ran what was denied: the terminal's Yes was first", self._live.run.name)
                await overrule(parts.journal, parts.bus, parts.clock, request)


def _is_denied(request: PermissionRequest, digest: str) -> bool:
    denied = request.verdict is not None and request.verdict.decision is Decision.DENY
    return denied and call_digest(request.tool_name, request.tool_input) == digest
