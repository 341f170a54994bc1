"""The fallback where control mode cannot be trusted: one short-lived tmux process for many requests."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator, Sequence

from ccm_orchestrator.adapters.tmux.commands import IDENTITY, Answer, NotConnected, Reply, Request, Server
from ccm_orchestrator.adapters.tmux.control import COMMAND_TIMEOUT_S
from ccm_orchestrator.adapters.tmux.names import encoded, exec_arguments
from ccm_orchestrator.adapters.tmux.server import Address, run_tmux, session_is_missing
from ccm_orchestrator.errors import TerminalUnavailable

BATCH_BYTES = 12_000
"""tmux refuses a command line of more than about 16 kB."""


class ExecClient:
    """Nothing to keep alive, nothing to lose; a request costs some milliseconds."""

    def __init__(self, address: Address, timeout_s: float = COMMAND_TIMEOUT_S) -> None:
        self._address = address
        self._timeout_s = timeout_s

    async def run(self, *requests: Request) -> Answer:
        server: Server | None = None
        replies: list[Reply] = []
        while len(replies) < len(requests):
            batch = requests[len(replies) : len(replies) + _batch_size(requests[len(replies) :])]
            answered_by, answers = await asyncio.to_thread(self._run_batch, batch)
            if server not in (None, answered_by):
                raise TerminalUnavailable("the tmux server was replaced between two requests")
            server = answered_by
            replies += answers
        assert server is not None
        return Answer(server, tuple(replies))

    async def close(self) -> None:
        """Nothing stays open."""

    def _run_batch(self, requests: Sequence[Request]) -> tuple[Server, list[Reply]]:
        """Replies up to the first request that failed, which tmux takes as the end of the line."""
        secret = secrets.token_hex(16)
        arguments = exec_arguments(list(_with_fences(requests, secret)))
        done = run_tmux(self._address, arguments, self._timeout_s)
        said = done.stderr.decode(errors="replace").strip()
        identity, *outputs = done.stdout.decode(errors="replace").split(secret + "\n")
        if not outputs and session_is_missing(said):
            raise NotConnected(f"tmux (socket {self._address.socket}) has no session: {said}")
        if not outputs:
            raise TerminalUnavailable(f"tmux did not answer: {said or 'it said nothing'}")
        replies = [Reply(True, output.removesuffix("\n")) for output in outputs[:-1]]
        if done.returncode or said:
            # the fence after a request in a condition is reached all the same, so the message belongs to the last one
            replies = [*replies[: len(requests) - 1], Reply(False, said)]
        return Server.read(identity), replies


def _with_fences(requests: Sequence[Request], secret: str) -> Iterator[Sequence[str]]:
    yield IDENTITY
    yield ("display-message", "-p", secret)
    for request in requests:
        yield from request
        yield ("display-message", "-p", secret)


def _batch_size(requests: Sequence[Request]) -> int:
    """How many go into one process; a condition, whose failure does not end the line, only as the last."""
    total = 0
    for count, request in enumerate(requests):
        total += sum(len(encoded(word)) + 1 for command in request for word in command) + 64
        if count and total > BATCH_BYTES:
            return count
        if request[0][0] == "if-shell":
            return count + 1
    return len(requests)
