"""Answers to permission requests that no hook holds any more: by a key in the agent's window.

An agent whose daemon was restarted goes on showing its dialog, but its hook does not ask again. A key approves whatever
is highlighted, so nothing is pressed unless the screen shows this very question.
"""

from __future__ import annotations

from collections.abc import Mapping

from ccm_orchestrator.domain.agent import Dialog, Signal
from ccm_orchestrator.domain.asking import screen_shows
from ccm_orchestrator.domain.dialogue import Decision, PermissionRequest, Verdict
from ccm_orchestrator.domain.run import Run, RunState, WindowRef
from ccm_orchestrator.errors import TerminalError, WindowGone, WrongStatus
from ccm_orchestrator.ports.agents import AgentDriver
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
        """Raises: WrongStatus when a key cannot give this answer, or the window does not show the request.
        TerminalError when the key could not be pressed: then the request is open as before."""
        allow = verdict.decision is Decision.ALLOW
        if allow and (request.dialog != Dialog.PERMISSION or verdict.updated_input is not None):
            raise WrongStatus(
                f"The daemon was restarted since {run.name} asked this, and only its window can answer it now: "
                f"`ccm-orchestrator attach {run.name}`."
            )
        window = await self._window_showing(run, request)
        if window is None:
            raise WrongStatus(
                f"The window of {run.name} does not show this request any more; look with "
                f"`ccm-orchestrator attach {run.name}`."
            )
        decided = await self._journal.decide_permission(request.request_id, verdict)  # only the first answer goes on
        try:
            await self._terminal.press(window, Key.YES if allow else Key.ESCAPE)
        except TerminalError:
            await self._journal.reopen_permission(request.request_id)  # nothing was pressed: it can be answered again
            raise
        if not allow:
            await self._explain_denial(run, request, verdict.reason)
        return decided

    async def dismiss(self, run: Run, request: PermissionRequest) -> None:
        """Denies it if its window still shows it; nothing otherwise."""
        try:
            window = await self._window_showing(run, request)
            if window is not None:
                await self._terminal.press(window, Key.ESCAPE)
        except TerminalError:
            return
        if window is not None:
            await self._explain_denial(run, request, "Nobody answered in time.")

    async def _window_showing(self, run: Run, request: PermissionRequest) -> WindowRef | None:
        if run.window is None or run.state is RunState.ENDED:
            return None
        try:
            screen = await self._terminal.capture(run.window)
        except WindowGone:
            return None
        seen = self._drivers[run.driver].read_screen(screen, self._clock.now(), run.run_id)
        is_dialog = seen is not None and seen.signal in (Signal.BLOCKED, Signal.ASKED)
        if (
            is_dialog
            and seen is not None
            and seen.detail == request.dialog
            and screen_shows(screen, request.tool_input)
        ):
            return run.window
        return None

    async def _explain_denial(self, run: Run, request: PermissionRequest, reason: str) -> None:
        """A dialog that is left by Escape ends the turn without a word, so the agent is told to go on."""
        text = f"The use of {request.tool_name} was denied. {reason}".strip()
        await self._journal.add_message(run.run_id, f"{text} Go on without it, or say why you cannot.")
