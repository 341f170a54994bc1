"""The scripted model: a local Messages API that plays scenarios in the place of a real model.

    python -m ccm_orchestrator.demo.model --port 0 --scenarios DIR

prints its base URL as the first line and serves until it gets SIGTERM or SIGINT. It listens on 127.0.0.1 only, needs
no key and calls nobody. In a program: `async with ScriptedModel(shipped_scenarios()).running() as base_url`, or
`with ScriptedModel(…).in_thread() as base_url` where there is no event loop.
"""

import argparse
import asyncio
import signal
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path

from ccm_orchestrator.demo.answering import Answering, RecordedRequest
from ccm_orchestrator.demo.scenario import Scenario, ScenarioError, load_scenarios, shipped_scenarios
from ccm_orchestrator.demo.wire import ClientGone, Connection

_START_LIMIT_S = 30.0


class ScriptedModel:
    """One server. `requests` grows while it runs and may be read from any thread."""

    def __init__(self, scenarios: Sequence[Scenario], *, keep_bodies: bool = False) -> None:
        """`keep_bodies`: keep the parsed JSON body of every request, about 100 kB each."""
        self.requests: list[RecordedRequest] = []
        self.base_url = ""
        self._answering = Answering(scenarios, self.requests, keep_bodies=keep_bodies)
        self._connections: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self, port: int = 0) -> AsyncIterator[str]:
        """Yields the base URL; on leaving, every open connection is closed at once."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", port)
        self.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self.base_url
        finally:
            server.close()
            for task in self._connections:
                task.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)
            await server.wait_closed()

    @contextmanager
    def in_thread(self, port: int = 0) -> Iterator[str]:
        """The same for callers without an event loop: the server runs in a thread of its own."""
        started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        thread = threading.Thread(target=self._run_loop, args=(port, started), name="scripted-model", daemon=True)
        thread.start()
        loop, leave = started.result(_START_LIMIT_S)
        try:
            yield self.base_url
        finally:
            loop.call_soon_threadsafe(leave.set)
            thread.join()

    def _run_loop(self, port: int, started: "Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]]") -> None:
        async def serve() -> None:
            leave = asyncio.Event()
            async with self.running(port):
                started.set_result((asyncio.get_running_loop(), leave))
                await leave.wait()

        try:
            asyncio.run(serve())
        except OSError as error:
            started.set_exception(error)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(Connection(reader, writer)))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, connection: Connection) -> None:
        with closing(connection), suppress(ClientGone):
            async for request in connection.requests():
                await self._answering.answer(request, connection)


async def serve_until_signal(scenarios: Sequence[Scenario], port: int) -> None:
    leave = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, leave.set)
    async with ScriptedModel(scenarios).running(port) as base_url:
        sys.stdout.write(base_url + "\n")
        sys.stdout.flush()
        await leave.wait()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m ccm_orchestrator.demo.model", description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0, help="0 (default) takes a free one")
    parser.add_argument("--scenarios", type=Path, help="directory of scenario files; default: those shipped with us")
    options = parser.parse_args(arguments)
    try:
        scenarios = load_scenarios(options.scenarios) if options.scenarios else shipped_scenarios()
        asyncio.run(serve_until_signal(scenarios, options.port))
    except ScenarioError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"the scripted model cannot listen on 127.0.0.1:{options.port}: {error.strerror}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
