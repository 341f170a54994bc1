"""What a person could do at an agent's window, done from afar."""

from __future__ import annotations

from collections.abc import Sequence

from ccm_orchestrator.domain.agent import AgentState, AgentView
from ccm_orchestrator.domain.run import Mode, Run
from ccm_orchestrator.engine.control import Control
from ccm_orchestrator.engine.windows import window_of
from ccm_orchestrator.errors import WrongStatus
from ccm_orchestrator.ports.terminal import Key, Terminal


class Hands:
    def __init__(self, control: Control, terminal: Terminal) -> None:
        self._control = control
        self._terminal = terminal

    async def interrupt(self, ref: str) -> Run:
        """Ends the agent's turn, and with it what it asks; the agent stays and takes messages.

        Raises: RunNotFound, WrongStatus (it does not work, or in print mode), WindowGone, TerminalUnavailable.
        """
        status = await self._control.agent(ref)
        run, window = status.run, window_of(status.run)
        if run.mode is Mode.PRINT:
            raise WrongStatus(f"{run.name} runs in print mode and cannot be interrupted: stop it.", run_id=run.run_id)
        if not _at_work(status.view):
            # at its prompt, Escape pressed twice would open a menu
            raise WrongStatus(f"{run.name} is {status.view.state}: there is nothing to interrupt.", run_id=run.run_id)
        await self._terminal.press(window, Key.ESCAPE)
        return run

    async def type(self, ref: str, text: str, keys: Sequence[Key]) -> Run:
        """Types the text, then presses the keys, whatever the window shows.

        Raises: RunNotFound, WrongStatus (no window), WindowGone, TerminalUnavailable.
        """
        run = (await self._control.agent(ref)).run
        window = window_of(run)
        if text:
            await self._terminal.type_text(window, text)
        for key in keys:
            await self._terminal.press(window, key)
        return run


def _at_work(view: AgentView) -> bool:
    return view.state is AgentState.WORKING or view.dialog is not None
