"""A network that misbehaves: a TCP proxy that holds, loses, resets or delays what passes."""

from __future__ import annotations

import asyncio
import contextlib

from ccm_orchestrator.devstack.threads import LoopThread

_CHUNK = 64 * 1024


class _Line:
    """One connection through the proxy."""

    def __init__(self, near: asyncio.StreamWriter, far: asyncio.StreamWriter) -> None:
        self.dead = False
        """What is sent on it is lost, for good."""
        self._ends = (near, far)

    def reset(self) -> None:
        for end in self._ends:
            end.transport.abort()


class ChaosProxy:
    """Listens at `port` for what is meant for the gateway. Its switches may be turned from any thread.

    They can be combined; `heal` turns all of them off.
    """

    def __init__(self, loop: LoopThread, target_port: int, port: int) -> None:
        self.port = port
        self._loop = loop
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._lines: set[_Line] = set()
        self._passing = asyncio.Event()
        self._losing = False
        self._delay_s = 0.0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        return len(self._lines)

    def start(self) -> None:
        self._loop.run(self._heal())

    def stop(self) -> None:
        self._loop.run(self._stop())

    def pause(self) -> None:
        """A partition: nothing passes and nothing is lost; after `heal` it arrives. New connections wait, too."""
        self._loop.call(self._passing.clear)

    def black_hole(self) -> None:
        """What is sent is lost. The connections of that time never work again: after `heal` new ones do."""
        self._loop.call(self._lose)

    def cut(self) -> None:
        """Resets every connection; new ones work."""
        self._loop.call(self._cut)

    def refuse(self) -> None:
        """Resets every connection and takes no new ones."""
        self._loop.run(self._refuse())

    def delay(self, seconds: float) -> None:
        """Each way, for each piece of data."""
        self._delay_s = seconds

    def heal(self) -> None:
        self._loop.run(self._heal())

    # --- on the loop ---

    async def _heal(self) -> None:
        self._losing, self._delay_s = False, 0.0
        self._passing.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self._cut()

    async def _stop(self) -> None:
        await self._refuse()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _lose(self) -> None:
        self._losing = True
        for line in self._lines:
            line.dead = True

    def _cut(self) -> None:
        for line in self._lines:
            line.reset()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._carry(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, near_reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        try:
            far_reader, far = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            near.transport.abort()
            return
        line = _Line(near, far)
        line.dead = self._losing
        self._lines.add(line)
        try:
            await asyncio.gather(self._pump(line, near_reader, far), self._pump(line, far_reader, near))
        finally:
            self._lines.discard(line)
            line.reset()

    async def _pump(self, line: _Line, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """One way. A line that lost something does not even tell that an end was closed."""
        with contextlib.suppress(ConnectionError):
            while data := await source.read(_CHUNK):
                await self._passing.wait()
                await asyncio.sleep(self._delay_s)  # sleeps because a slow network is what is played
                if not line.dead:
                    sink.write(data)
                    await sink.drain()
        await self._passing.wait()
        if not line.dead and not sink.is_closing():
            sink.close()
