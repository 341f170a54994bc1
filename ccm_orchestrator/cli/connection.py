"""The API as the command line uses it: of the running daemon, or, when none runs, served in this very process.

So a command is written once, and prints the same JSON either way. The lock of the state directory decides: whoever
holds it is the daemon. While a command serves itself it holds that lock, which is why it should not take long.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import quote

import httpx

from ccm_orchestrator.adapters.state_lock import StateLock
from ccm_orchestrator.cli.exits import DaemonUnreachable
from ccm_orchestrator.cli.lazily import Heavy, load
from ccm_orchestrator.errors import InputError, InvalidSettings, OrchestratorError, StateDirectoryBusy
from ccm_orchestrator.security.secrets import API_TOKEN_FILE, read_secret
from ccm_orchestrator.settings import Settings

ANSWER_TIMEOUT_S = 30.0
START_PATIENCE_S = 10.0
"""A daemon that starts holds the lock for a moment before it answers."""
RETRY_INTERVAL_S = 0.05
STREAM_TIMEOUT_S = 60.0
"""The stream says that it lives more often than this."""


class Connection:
    def __init__(self, client: httpx.AsyncClient, daemon_runs: bool) -> None:
        self._client = client
        self.daemon_runs = daemon_runs

    async def get(self, path: str, **query: Any) -> Any:
        """Raises: InputError (what is asked for cannot be done), DaemonUnreachable, OrchestratorError."""
        given = {name: value for name, value in query.items() if value is not None}
        return await self._ask("GET", path, params=given)

    async def post(self, path: str, body: Mapping[str, Any] | None = None, **headers: str) -> Any:
        return await self._ask("POST", path, json=body, headers=headers)

    async def delete(self, path: str) -> None:
        await self._ask("DELETE", path)

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
        query = {"task_id": task_id} if task_id else {}
        headers = {"Last-Event-ID": str(after)}
        async with (
            _translated(self._client.base_url),
            self._client.stream(
                "GET", "/api/events", params=query, headers=headers, timeout=STREAM_TIMEOUT_S
            ) as answer,
        ):
            if not answer.is_success:
                await answer.aread()
                raise refusal(answer)
            async for line in answer.aiter_lines():
                if line.startswith("data:") and "seq" in (event := json.loads(line[5:])):
                    yield event

    async def _ask(self, method: str, path: str, **arguments: Any) -> Any:
        async with _translated(self._client.base_url):
            answer = await self._client.request(method, path, **arguments)
        if answer.is_success:
            return answer.json() if answer.content else None
        raise refusal(answer)


def segment(ref: str) -> str:
    """What a person typed, as one part of a path. Raises: InputError."""
    if ref in ("", ".", "..") or "/" in ref:
        raise InputError(f"Expected an id or a name, got: {ref!r}.")
    return quote(ref, safe="")


@asynccontextmanager
async def connect(settings: Settings) -> AsyncIterator[Connection]:
    """Raises: DaemonUnreachable when there is a daemon that does not answer; StoreError when there is none and the
    database cannot be opened."""
    lock = StateLock(settings.state_directory, passing=True)
    async with AsyncExitStack() as stack:
        client = await _client_of_daemon(settings, lock)
        if client is not None:
            stack.push_async_callback(client.aclose)
            yield Connection(client, daemon_runs=True)
        else:
            stack.callback(lock.release)
            yield Connection(await stack.enter_async_context(load(Heavy.OPEN_OFFLINE)(settings)), daemon_runs=False)


async def _client_of_daemon(settings: Settings, lock: StateLock) -> httpx.AsyncClient | None:
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


async def _answering(settings: Settings) -> httpx.AsyncClient:
    """Raises: DaemonUnreachable."""
    try:
        token = read_secret(settings.state_directory / API_TOKEN_FILE).reveal()
        url = settings.url_file.read_text(encoding="utf-8").strip()
    except (InvalidSettings, OSError) as error:
        raise DaemonUnreachable(f"It has not said yet where it listens: {error}.") from error
    headers = {"Authorization": f"Bearer {token}"}
    client = httpx.AsyncClient(base_url=url, headers=headers, timeout=ANSWER_TIMEOUT_S, trust_env=False)
    try:
        async with _translated(client.base_url):
            answer = await client.get("/health")
        if "status" not in answer.json():
            raise DaemonUnreachable(f"What answers at {url} is not ccm-orchestrator.")
    except ValueError as error:
        await client.aclose()
        raise DaemonUnreachable(f"What answers at {url} is not ccm-orchestrator.") from error
    except DaemonUnreachable:
        await client.aclose()
        raise
    return client


@asynccontextmanager
async def _translated(base_url: httpx.URL) -> AsyncIterator[None]:
    """Errors of the HTTP library, in our words."""
    try:
        yield
    except httpx.ConnectError as error:
        raise DaemonUnreachable(f"Nothing listens at {base_url}.") from error
    except httpx.TimeoutException as error:
        raise DaemonUnreachable(f"The daemon at {base_url} does not answer in time.") from error
    except httpx.TransportError as error:
        raise DaemonUnreachable(f"The connection to the daemon at {base_url} broke: {error}.") from error


def refusal(answer: httpx.Response) -> OrchestratorError:
    """The problem document of an answer that is not a success, as an error of ours."""
    try:
        problem = answer.json()
        detail, facts = problem["detail"], problem.get("facts") or {}
    except (ValueError, KeyError, TypeError):
        return OrchestratorError(f"{answer.request.url} answered {answer.status_code} {answer.reason_phrase}.")
    own_fault = answer.is_client_error and answer.status_code not in (401, 403, 421)
    return (InputError if own_fault else OrchestratorError)(detail, **facts)
