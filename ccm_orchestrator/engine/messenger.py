"""Messages to an agent, with receipts: queued → delivered → accepted → answered.

Text is typed only when no dialog can be open, for an Enter would approve what is highlighted.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from ccm_orchestrator.domain.agent import AgentState, Evidence, Signal
from ccm_orchestrator.domain.dialogue import NOT_TAKEN, RUN_ENDED, Message, MessageStatus
from ccm_orchestrator.domain.events import EventKind
from ccm_orchestrator.domain.run import Mode, WindowRef
from ccm_orchestrator.engine.live import LiveRun
from ccm_orchestrator.engine.sweep import UNSETTLED
from ccm_orchestrator.errors import TerminalError
from ccm_orchestrator.ports.terminal import Key

log = logging.getLogger(__name__)

SETTLE_S = 0.12
"""Between the text and its Enter: an Enter that comes sooner is taken for part of a paste."""
CONFIRM_S = 10.0
"""An idle agent brings a submitted prompt back within milliseconds; after this it is called undelivered."""
TYPED_S = 3.0
"""Longest time that an agent on a busy machine may take to show what was typed."""
ENTER_AGAIN_S = 2.0
"""An Enter that came too soon for a busy agent made a new line; after this it is pressed again."""
UNCONFIRMED = "It was typed, and the run ended before the agent confirmed it."
ANSWER_S = 10.0
"""A queued message begins its turn within milliseconds of the end of the one before; after this it never will."""
_UNTYPABLE = re.compile(
    r"[\s\x00-\x1f\x7f-\x9f\u00ad\u061c\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2400-\u2421\ufe00-\ufe0f"
    r"\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff]+|\\x[0-9a-f]{2}|\\u[0-9a-f]{4}|\\U[0-9a-f]{8}"
    r'|</?pasted_content id="[0-9a-f]*">'
)
"""White space, control and invisible characters, what stands for them where they cannot be typed, and the marks that
an agent puts around what comes too fast to have been typed, which may begin in the middle of a text."""
_TYPABLE = frozenset({AgentState.WORKING, AgentState.COMPLETE, AgentState.WAITING})


class Messenger:
    """Delivers the messages of one run, in order, one at a time."""

    def __init__(self, live: LiveRun) -> None:
        self._live = live
        self._turn_ended_at: datetime | None = None
        self._turn_text = ""
        self._entered_at = live.parts.clock.now()

    async def deliver(self) -> bool:
        """True while a message is on its way: a run does not end over an undelivered or unanswered message."""
        unanswered = False
        for message in await self._live.parts.journal.messages(self._live.run.run_id):
            if message.status is MessageStatus.QUEUED:
                await self._submit_message(message)
                return True
            if message.status is MessageStatus.DELIVERED and await self._unconfirmed(message):
                return True
            if message.status is MessageStatus.ACCEPTED:
                unanswered |= await self._unanswered(message)
        return unanswered

    async def accepted(self, prompt: str) -> None:
        """The agent reported a submitted prompt: the oldest delivered message with this text is accepted."""
        for message in await self._live.parts.journal.messages(self._live.run.run_id):
            if message.status is MessageStatus.DELIVERED and _same(message.text, prompt):
                await self._set(message, MessageStatus.ACCEPTED)
                return

    async def turn_ended(self, at: datetime, text: str) -> None:
        """Accepted messages are answered by its last text, unless the agent still has them in its own queue."""
        self._turn_ended_at, self._turn_text = at, text
        for message in await self._live.parts.journal.messages(self._live.run.run_id):
            if message.status is MessageStatus.ACCEPTED and await self._answered(message, at):
                await self._set(message, MessageStatus.ANSWERED, answer=text)

    async def close(self) -> None:
        """The run is over: what was not accepted never will be."""
        await self.close_typed()
        for message in await self._live.parts.journal.messages(self._live.run.run_id):
            if message.status is MessageStatus.QUEUED:
                await self._set(message, MessageStatus.UNDELIVERED, RUN_ENDED)

    async def close_typed(self) -> None:
        """The agent has ended: what it took in is part of its conversation, the rest went with it."""
        for message in await self._live.parts.journal.messages(self._live.run.run_id):
            if message.status not in (MessageStatus.DELIVERED, MessageStatus.ACCEPTED):
                continue
            taken = await self._taken(message)
            if taken and all(item.data.get("queued") for item in taken):  # it waited in the agent's own queue
                await self._set(message, MessageStatus.UNDELIVERED, NOT_TAKEN)
            elif message.status is MessageStatus.DELIVERED and taken:
                await self._set(message, MessageStatus.ACCEPTED)
            elif message.status is MessageStatus.DELIVERED:
                known = self._live.transcript_path is not None
                await self._set(message, MessageStatus.UNDELIVERED, NOT_TAKEN if known else UNCONFIRMED)

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
                    await self._until_typed(window, text)
        except TerminalError as error:
            log.warning("agent %s cannot be typed to: %s", live.run.name, error.message)
            return False
        self._entered_at = live.parts.clock.now()
        return True

    async def _until_typed(self, window: WindowRef, text: str) -> None:
        live, deadline_s = self._live, self._live.parts.clock.uptime_s() + TYPED_S
        while live.parts.clock.uptime_s() < deadline_s:
            screen = await live.parts.terminal.capture(window, styled=True)
            if live.driver.awaits_enter(text, screen) is not False:
                return
            await asyncio.sleep(SETTLE_S)

    async def _enter_again(self, message: Message) -> None:
        """What was typed for this message still stands at the prompt: its Enter was lost."""
        live, now, window = self._live, self._live.parts.clock.now(), self._live.run.window
        if window is None or now - self._entered_at < timedelta(seconds=ENTER_AGAIN_S) or not await self._typable():
            return
        try:
            screen = await live.parts.terminal.capture(window, styled=True)
            if live.driver.awaits_enter(message.text, screen):
                live.check_term()
                await live.parts.terminal.press(window, Key.ENTER)
        except TerminalError as error:
            log.warning("agent %s cannot be typed to: %s", live.run.name, error.message)
        self._entered_at = now

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
        """Not every release reports a message that was typed while a tool ran, but all write it down."""
        if await self._taken(message):
            await self._set(message, MessageStatus.ACCEPTED)
            self._live.news.set()
            return True
        if self._live.tracker.view.state in UNSETTLED:  # the prompt of an agent that is only starting
            return True
        await self._enter_again(message)
        if self._live.parts.clock.now() - message.updated_at < timedelta(seconds=CONFIRM_S):
            return True
        if self._live.tracker.view.state is not AgentState.WORKING:
            await self._set(message, MessageStatus.UNDELIVERED, "The agent did not confirm it.")
        return False

    async def _unanswered(self, message: Message) -> bool:
        """True while a turn of its own may follow the one that ended."""
        live, ended_at = self._live, self._turn_ended_at
        if live.tracker.view.state is not AgentState.COMPLETE or ended_at is None or live.transcript_path is None:
            return False
        if await self._answered(message, ended_at):
            await self._set(message, MessageStatus.ANSWERED, answer=self._turn_text)
            return False
        return live.parts.clock.now() - ended_at < timedelta(seconds=ANSWER_S)

    async def _answered(self, message: Message, ended_at: datetime) -> bool:
        """Part of the conversation before its last turn ended. Without a record of it, every turn answers all."""
        if self._live.transcript_path is None:
            return True
        return any(item.at <= ended_at and not item.data.get("queued") for item in await self._taken(message))

    async def _taken(self, message: Message) -> Sequence[Evidence]:
        """What the agent wrote down of it."""
        seen = await self._live.driver.observe(self._live.trace())
        return [
            item
            for item in seen
            if item.at >= message.created_at and _same(message.text, str(item.data.get("prompt", "")))
        ]

    async def _set(self, message: Message, status: MessageStatus, detail: str = "", answer: str = "") -> None:
        await self._live.parts.journal.set_message(message.message_id, status, detail, answer)
        await self._live.publish(EventKind.MESSAGE, message_id=message.message_id, status=status, detail=detail)


def _same(sent: str, accepted: str) -> bool:
    """White space, invisible characters and the wrapping of pasted text are the agent's own affair."""
    return _UNTYPABLE.sub("", sent) in _UNTYPABLE.sub("", accepted)
