"""Answers to permission requests that no hook holds any more: by a key in the agent's window.

An agent whose daemon was restarted goes on showing its dialog, but its hook does not ask again. A key approves whatever
is highlighted, so nothing is pressed unless the screen shows this very question.
"""

from __future__ import annotations

from collections.abc import Mapping

from ccm_orchestrator.domain.agent import Signal
from ccm_orchestrator.domain.dialogue import Decision, PermissionRequest, Verdict
from ccm_orchestrator.domain.run import Run, RunState, WindowRef
from ccm_orchestrator.engine.permission_news import permission_event
from ccm_orchestrator.engine.permission_record import reopened_entry, settled_entry
from ccm_orchestrator.errors import TerminalError, WindowGone, WrongStatus
from ccm_orchestrator.ports.agents import AgentDriver
from ccm_orchestrator.ports.beside import NOTHING, Beside
from ccm_orchestrator.ports.journal import Journal
from ccm_orchestrator.ports.terminal import Key, Terminal
from ccm_orchestrator.ports.world import Clock


class WindowAnswers:
    def __init__(self, journal: Journal, terminal: Terminal, drivers: Mapping[str, AgentDriver], clock: Clock) -> None:
        self._journal = journal
        self._terminal = terminal
        self._drivers = drivers
        self._clock = clock

    async def decide(self, run: Run, request: PermissionRequest, verdict: Verdict) -> PermissionRequest:
        """Raises: WrongStatus when no key can give this answer, or the window does not show the request.
        TerminalError when the key could not be pressed: then the request is open as before."""
        found = await self._key(run, request, verdict)
        if found is None:
            raise WrongStatus(
                f"The daemon was restarted since {run.name} asked this, and its window does not show it so that a key "
                f"could give this answer; look with `ccm-orchestrator attach {run.name}`."
            )
        decided = await self._decided(request, verdict)  # only the first answer goes on
        try:
            await self._press(*found)
        except TerminalError as error:
            await self._take_back(decided, error.message)  # nothing was pressed: it can be answered again
            raise
        if verdict.decision is Decision.DENY:
            await self._explain_denial(run, request, verdict.reason)
        return decided

    async def _decided(self, request: PermissionRequest, verdict: Verdict) -> PermissionRequest:
        """Its event waits until the key is pressed; what the audit log says of it does not."""
        now = self._clock.now()

        def telling(decided: PermissionRequest) -> Beside:
            return Beside(entry=settled_entry(permission_event(decided, now)))

        return await self._journal.decide_permission(request.request_id, verdict, telling)

    async def _take_back(self, decided: PermissionRequest, why: str) -> None:
        now = self._clock.now()
        settled = settled_entry(permission_event(decided, now))
        reopened = NOTHING if settled is None else Beside(entry=reopened_entry(settled, now, why))
        await self._journal.reopen_permission(decided.request_id, lambda _request: reopened)

    async def dismiss(self, run: Run, request: PermissionRequest) -> None:
        """Denies it if its window still shows it; nothing otherwise."""
        verdict = Verdict(Decision.DENY, "timeout", "Nobody answered in time.")
        try:
            found = await self._key(run, request, verdict)
            if found is not None:
                await self._press(*found)
        except TerminalError:
            return
        if found is not None:
            await self._explain_denial(run, request, verdict.reason)

    async def _press(self, window: WindowRef, key: str | Key) -> None:
        if isinstance(key, Key):
            await self._terminal.press(window, key)
        else:
            await self._terminal.type_text(window, key)

    async def _key(self, run: Run, request: PermissionRequest, verdict: Verdict) -> tuple[WindowRef, str | Key] | None:
        if run.window is None or run.state is RunState.ENDED:
            return None
        try:
            screen = await self._terminal.capture(run.window)
        except WindowGone:
            return None
        driver = self._drivers[run.driver]
        seen = driver.read_screen(screen, self._clock.now(), run.run_id)
        if seen is None or seen.signal not in (Signal.BLOCKED, Signal.ASKED) or seen.detail != request.dialog:
            return None
        key = driver.dialog_key(request, verdict, screen)
        return None if key is None else (run.window, key)

    async def _explain_denial(self, run: Run, request: PermissionRequest, reason: str) -> None:
        """A dialog that is left by Escape ends the turn without a word, so the agent is told to go on."""
        text = f"The use of {request.tool_name} was denied. {reason}".strip()
        await self._journal.add_message(run.run_id, f"{text} Go on without it, or say why you cannot.")
