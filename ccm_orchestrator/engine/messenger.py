"""Messages to an agent, with receipts: queued → delivered → accepted → answered.

Text is typed only when no dialog can be open, for an Enter would approve what is highlighted.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from ccm_orchestrator.domain.agent import AgentState, Signal
from ccm_orchestrator.domain.dialogue import Message, MessageStatus
from ccm_orchestrator.domain.events import EventKind
from ccm_orchestrator.domain.run import Mode
from ccm_orchestrator.engine.live import LiveRun
from ccm_orchestrator.errors import TerminalError
from ccm_orchestrator.ports.terminal import Key

log = logging.getLogger(__name__)

SETTLE_S = 0.12
"""Between the text and its Enter: an Enter that comes sooner is taken for part of a paste."""
CONFIRM_S = 10.0
"""An idle agent brings a submitted prompt back within milliseconds; after this it is called undelivered."""
_TYPABLE = frozenset({AgentState.WORKING, AgentState.COMPLETE, AgentState.WAITING})


class Messenger:
    """Delivers the messages of one run, in order, one at a time."""

    def __init__(self, live: LiveRun) -> None:
        self._live = live

    async def deliver(self) -> bool:
        """True while a message is on its way: a run does not end over an undelivered message."""
        messages = await self._live.parts.journal.messages(self._live.run.run_id)
        for message in messages:
            if message.status is MessageStatus.QUEUED:
                await self._submit_message(message)
                return True
            if message.status is MessageStatus.DELIVERED and await self._unconfirmed(message):
                return True
        return False

    async def accepted(self, prompt: str) -> None:
        """The agent reported a submitted prompt: the oldest delivered message with this text is accepted."""
        for message in await self._live.parts.journal.messages(self._live.run.run_id):
            if message.status is MessageStatus.DELIVERED and _same(message.text, prompt):
                await self._set(message, MessageStatus.ACCEPTED)
                return

    async def turn_ended(self) -> None:
        """Accepted messages are answered."""
        for message in await self._live.parts.journal.messages(self._live.run.run_id):
            if message.status is MessageStatus.ACCEPTED:
                await self._set(message, MessageStatus.ANSWERED)

    async def close(self) -> None:
        """The run is over: what was not accepted never will be."""
        for message in await self._live.parts.journal.messages(self._live.run.run_id):
            if message.status in (MessageStatus.QUEUED, MessageStatus.DELIVERED):
                await self._set(message, MessageStatus.UNDELIVERED, "The run ended first.")

    async def submit(self, text: str) -> bool:
        """Types and submits text at the agent's prompt; False when it may not be typed to right now."""
        live = self._live
        window = live.run.window
        if window is None or live.run.mode is Mode.PRINT or not await self._typable():
            return False
        try:
            screen = await live.parts.terminal.capture(window, styled=True)
            for key in live.driver.message_keys(text, screen):
                live.check_term()
                if isinstance(key, Key):
                    await asyncio.sleep(SETTLE_S)
                    await live.parts.terminal.press(window, key)
                    await asyncio.sleep(SETTLE_S)  # a draft that is being stashed would be glued to the text
                else:
                    await live.parts.terminal.type_text(window, key)
        except TerminalError as error:
            log.warning("agent %s cannot be typed to: %s", live.run.name, error.message)
            return False
        return True

    async def _typable(self) -> bool:
        """No dialog by our own books, by the agent's registry, nor on the screen, right now."""
        live = self._live
        live.tracker.apply(await live.driver.observe(live.trace()))
        view = live.tracker.view
        if view.dialog is not None or view.state not in _TYPABLE:
            return False
        return not await self._dialog_on_screen()

    async def _dialog_on_screen(self) -> bool:
        live = self._live
        if live.run.window is None:
            return True
        try:
            screen = await live.parts.terminal.capture(live.run.window)
        except TerminalError:
            return True
        seen = live.driver.read_screen(screen, live.parts.clock.now(), live.run.run_id)
        return seen is not None and seen.signal in (Signal.BLOCKED, Signal.ASKED)

    async def _submit_message(self, message: Message) -> None:
        if self._live.run.mode is Mode.PRINT:
            await self._set(message, MessageStatus.UNDELIVERED, "An agent in print mode takes no messages.")
        elif await self.submit(message.text):
            await self._set(message, MessageStatus.DELIVERED)

    async def _unconfirmed(self, message: Message) -> bool:
        if self._live.parts.clock.now() - message.updated_at < timedelta(seconds=CONFIRM_S):
            return True
        if self._live.tracker.view.state is not AgentState.WORKING:
            await self._set(message, MessageStatus.UNDELIVERED, "The agent did not confirm it.")
        return False

    async def _set(self, message: Message, status: MessageStatus, detail: str = "") -> None:
        await self._live.parts.journal.set_message(message.message_id, status, detail)
        await self._live.publish(EventKind.MESSAGE, message_id=message.message_id, status=status, detail=detail)


def _same(sent: str, accepted: str) -> bool:
    """White space at the ends and wrapping of pasted text are the agent's own affair."""
    return "".join(sent.split()) in "".join(accepted.split())
