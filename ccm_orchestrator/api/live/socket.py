"""One WebSocket: what happens goes out, what the client sends is done, until one of both ends it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import WebSocket
from starlette.websockets import WebSocketDisconnect

from ccm_orchestrator.api.guards import caller_of
from ccm_orchestrator.api.live.acting import answer_to
from ccm_orchestrator.api.live.feed import Feed, Told
from ccm_orchestrator.api.live.frames import FrameType, own_frame
from ccm_orchestrator.api.live.screens import Screens
from ccm_orchestrator.api.live.streaming import Stalled
from ccm_orchestrator.api.live.subjects import Subject
from ccm_orchestrator.api.services import ApiServices
from ccm_orchestrator.domain.caller import Caller
from ccm_orchestrator.domain.run import Run, RunState
from ccm_orchestrator.engine.cancelling import cancel_all
from ccm_orchestrator.errors import AccessRefused, RunNotFound

log = logging.getLogger(__name__)

SUBPROTOCOL = "ccm.v1"
BATCH_CHARACTERS = 64_000
NEXT_AGENT_S = 1.0
"""How often a task is asked for the agent that comes after the one whose window is gone."""
RESTART = 1012
REFUSED = 4401
"""The credential with which the client came is not good any more."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the client asked for when it connected."""

    types: frozenset[FrameType] | None = None
    """None: all."""
    batched: bool = False
    """Messages are JSON arrays of frames."""
    screen: bool = False
    """Also what the agent's window shows, as it changes."""


class LiveSocket:
    """The client's cursor is all that is kept of it."""

    def __init__(
        self,
        websocket: WebSocket,
        services: ApiServices,
        subject: Subject,
        wish: Wish,
        admitted: Callable[[], Coroutine[Any, Any, Caller]],
    ) -> None:
        """`admitted` looks at the client's credential again. It raises AccessRefused."""
        self._websocket = websocket
        self._services = services
        self._subject = subject
        self._wish = wish
        self._admitted = admitted
        self._caller = caller_of(websocket)
        self._cursor = 0
        self._sent_at = 0.0

    async def serve(self, feed: Feed, cursor: int, resync: dict[str, int] | None) -> None:
        """Accepts, and returns when the connection is over. `resync`: the cursor asked for is not kept any more."""
        offered = self._websocket.scope["subprotocols"]
        await self._websocket.accept(subprotocol=SUBPROTOCOL if SUBPROTOCOL in offered else None)
        self._cursor = cursor
        stopping = asyncio.create_task(self._services.stopping.wait())
        parts = {
            asyncio.create_task(self._tell(feed, resync), name="live-out"),
            asyncio.create_task(self._listen(), name="live-in"),
        }
        if self._wish.screen:
            parts.add(asyncio.create_task(self._show(self._websocket.app.state.screens), name="live-screen"))
        try:
            done, _ = await asyncio.wait({*parts, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancel_all([*parts, stopping])
        for task in done:
            await self._over(None if task is stopping else task.exception())

    async def _over(self, error: BaseException | None) -> None:
        """Says goodbye as the end deserves."""
        if isinstance(error, Stalled):
            log.info("%s reads nothing any more and is dropped at %d", self._caller.name, self._cursor)
            self._websocket.app.state.hang_up(self._websocket.scope["client"])
        elif isinstance(error, AccessRefused):
            await self._close(REFUSED, "The credential is not good any more.")
        elif self._services.stopping.is_set():
            await self._close(RESTART, f"The daemon stops; come back with after={self._cursor}.")
        elif error is not None and not isinstance(error, WebSocketDisconnect):
            raise error

    async def _close(self, code: int, reason: str) -> None:
        with contextlib.suppress(WebSocketDisconnect, RuntimeError, TimeoutError):
            async with asyncio.timeout(self._services.options.stall_s):
                await self._websocket.close(code, reason)

    # Out

    async def _tell(self, feed: Feed, resync: dict[str, int] | None) -> None:
        await self._send(own_frame(FrameType.READY, self._cursor, self._who()))
        if resync is not None:
            await self._send(own_frame(FrameType.RESYNC, self._cursor, resync))
        idle_s = self._services.options.heartbeat_s
        follow = feed.follow(self._cursor, idle_s, self._subject.task_id, self._subject.run_id)
        async with contextlib.aclosing(follow) as batches:
            async for batch in batches:
                await self._tell_all(await self._subject.of(batch))
                self._cursor = max(self._cursor, batch[-1].seq) if batch else self._cursor
                await self._beat(idle_s)

    async def _tell_all(self, batch: Sequence[Told]) -> None:
        spelled = [(told.seq, text) for told in batch if (text := self._spelled(told)) is not None]
        if self._wish.batched and spelled:
            await self._send_many(spelled)
            return
        for seq, text in spelled:
            await self._send(text)
            self._cursor = seq

    async def _send_many(self, spelled: list[tuple[int, str]]) -> None:
        """As few messages as possible, none of them too large."""
        waiting, size = list[str](), 0
        for seq, text in spelled:
            waiting.append(text)
            size += len(text)
            if size >= BATCH_CHARACTERS or seq == spelled[-1][0]:
                await self._send(f"[{','.join(waiting)}]")
                self._cursor, waiting, size = seq, [], 0

    def _spelled(self, told: Told) -> str | None:
        """None: of a type that the client does not want."""
        if self._wish.types is None:
            return told.frame()
        wanted = [kind for kind in told.types if kind in self._wish.types]
        return told.frame(wanted[0]) if wanted else None

    async def _beat(self, idle_s: float) -> None:
        """When nothing else was sent for long: the client learns how far it has been told everything."""
        now = asyncio.get_running_loop().time()
        if now - self._sent_at >= idle_s * 0.9:
            self._caller = await self._admitted()
            await self._send(own_frame(FrameType.HEARTBEAT, self._cursor, {}))

    async def _send(self, text: str) -> None:
        """Raises: Stalled, WebSocketDisconnect."""
        try:
            async with asyncio.timeout(self._services.options.stall_s):
                await self._websocket.send_text(f"[{text}]" if self._wish.batched and text[0] != "[" else text)
        except TimeoutError:
            raise Stalled from None
        self._sent_at = asyncio.get_running_loop().time()

    def _who(self) -> dict[str, object]:
        return {**self._subject.names(), "scopes": sorted(self._caller.scopes)}

    async def _show(self, screens: Screens) -> None:
        """Of the newest agent; when its window is gone, of the one that comes after it."""
        shown = ""
        while True:
            run = await self._agent()
            if run is not None and run.window is not None and run.run_id != shown and run.state is not RunState.ENDED:
                shown = run.run_id
                async with contextlib.aclosing(screens.follow(run, styled=True)) as looks:
                    async for seen in looks:
                        names = {"agent": run.name, "run_id": run.run_id, "gone": seen.gone}
                        await self._send(own_frame(FrameType.SCREEN, self._cursor, names, seen.text or ""))
            await asyncio.sleep(NEXT_AGENT_S)

    async def _agent(self) -> Run | None:
        try:
            return (await self._services.control.agent(await self._subject.agent())).run
        except RunNotFound:
            return None

    # In

    async def _listen(self) -> None:
        """One after the other: who sends faster than it is done is slowed down by his own connection."""
        while True:
            text = await self._receive()
            self._caller = await self._admitted()
            frame_type, content, data = await answer_to(self._services, self._caller, self._subject, text)
            await self._send(own_frame(frame_type, self._cursor, data, content))

    async def _receive(self) -> str:
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1006), message.get("reason"))
        text: str | None = message.get("text")
        binary: bytes = message.get("bytes") or b""
        return binary.decode("utf-8", "replace") if text is None else text
