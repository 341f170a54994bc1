"""A connection to the API: of the running daemon, or, when none runs, served in this very process.

So a command is written once, and prints the same JSON either way. The lock of the state directory decides: whoever
holds it is the daemon. While a command serves itself it holds that lock, which is why it should not take long.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from typing import Any

from ccm_orchestrator.adapters.state_lock import StateLock
from ccm_orchestrator.cli.lazily import Heavy, load
from ccm_orchestrator.client.address import of_this_machine
from ccm_orchestrator.client.call import Call, Reply, as_it_came, get
from ccm_orchestrator.client.carriers import AwaitingCarrier
from ccm_orchestrator.client.failures import StreamEnded, UnexpectedAnswer
from ccm_orchestrator.client.following import Stream
from ccm_orchestrator.client.paths import segment
from ccm_orchestrator.client.patience import Patience
from ccm_orchestrator.client.sse import Frame
from ccm_orchestrator.errors import DaemonUnreachable, InputError, StateDirectoryBusy
from ccm_orchestrator.settings import Settings

ANSWER_TIMEOUT_S = 30.0
START_PATIENCE_S = 10.0
"""A daemon that starts holds the lock for a moment before it answers."""
RETRY_INTERVAL_S = 0.05


def _of_a_daemon(reply: Reply) -> None:
    """Raises: UnexpectedAnswer when it is something else that answers."""
    if not isinstance(reply.document, dict) or not isinstance(reply.document.get("status"), str):
        raise UnexpectedAnswer


HEALTH = Call("GET", "/health", _of_a_daemon, repeatable=True, also=frozenset({503}))
"""Also when it is not well; asks for no token."""


class Connection:
    """A carrier, answered by JSON as it came: that is what `--json` prints."""

    def __init__(self, carrier: AwaitingCarrier, daemon_runs: bool) -> None:
        self.carrier = carrier
        self.daemon_runs = daemon_runs

    async def get(self, path: str, **query: Any) -> Any:
        """Raises: InputError (what is asked for cannot be done), DaemonUnreachable, OrchestratorError."""
        return await self.carrier.carry(get(path, as_it_came, **query))

    async def post(self, path: str, body: Mapping[str, Any] | None = None, **headers: str) -> Any:
        return await self.carrier.carry(Call("POST", path, as_it_came, body=body, headers=headers))

    async def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        return await self.carrier.carry(Call("PATCH", path, as_it_came, body=body))

    async def delete(self, path: str) -> None:
        await self.carrier.carry(Call("DELETE", path, as_it_came))

    async def agent(self, ref: str) -> Any:
        """By whatever the API knows agents by, or by the beginning of a task's id: its newest agent."""
        try:
            return await self.get(f"/api/agents/{segment(ref)}")
        except InputError as unknown_agent:
            try:
                task = await self.get(f"/api/tasks/{segment(ref)}")
            except InputError:
                raise unknown_agent from None
        return await self.get(f"/api/agents/{task['task_id']}")

    async def stream(self, after: int, task_id: str | None) -> AsyncIterator[dict[str, Any]]:
        """Events after the cursor as they come, for as long as the daemon runs. For a running daemon only."""
        follow = Stream(get("/api/events", as_it_came, after=after, task_id=task_id), _event)
        with suppress(StreamEnded):
            async with aclosing(self.carrier.follow(follow)) as events:
                async for event in events:
                    yield event


def _event(frame: Frame) -> dict[str, Any] | None:
    document: dict[str, Any] = frame.json()
    return document if "seq" in document else None


@asynccontextmanager
async def reached(settings: Settings) -> AsyncIterator[Connection]:
    """Raises: DaemonUnreachable when there is a daemon that does not answer; StoreError when there is none and the
    database cannot be opened."""
    lock = StateLock(settings.state_directory, passing=True)
    async with AsyncExitStack() as stack:
        carrier = await _carrier_to_daemon(settings, lock)
        if carrier is not None:
            stack.push_async_callback(carrier.http.aclose)
            yield Connection(carrier, daemon_runs=True)
        else:
            stack.callback(lock.release)
            yield Connection(await stack.enter_async_context(load(Heavy.OPEN_OFFLINE)(settings)), daemon_runs=False)


async def _carrier_to_daemon(settings: Settings, lock: StateLock) -> AwaitingCarrier | None:
    """None when no daemon runs: then the lock is ours."""
    deadline = time.monotonic() + START_PATIENCE_S
    while True:
        try:
            lock.acquire()
            return None
        except StateDirectoryBusy as error:
            busy = error
        try:
            return await _answering(settings)
        except DaemonUnreachable as error:
            if time.monotonic() > deadline:
                raise DaemonUnreachable(
                    f"The daemon that holds {settings.state_directory} does not answer: it is starting or stuck; "
                    f"look into {settings.state_directory / 'logs'}, or restart it, agents go on. ({error.message})"
                ) from busy
        await asyncio.sleep(RETRY_INTERVAL_S)


async def _answering(settings: Settings) -> AwaitingCarrier:
    """Raises: DaemonUnreachable."""
    url, token = of_this_machine(settings.state_directory)
    carrier = AwaitingCarrier.to(url, token, impatient(), allow_plain_http=True)
    async with AsyncExitStack() as unless_it_answers:
        unless_it_answers.push_async_callback(carrier.http.aclose)
        try:
            await carrier.carry(HEALTH)
        except UnexpectedAnswer as error:
            raise DaemonUnreachable(f"What answers at {url} is not ccm-orchestrator.") from error
        unless_it_answers.pop_all()
    return carrier


def impatient() -> Patience:
    """Whether to try again is decided above: by then another daemon may run, or none."""
    return Patience(tries=1, answer_s=ANSWER_TIMEOUT_S, absence_s=0.0)
