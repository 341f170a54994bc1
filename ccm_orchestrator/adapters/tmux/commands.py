"""What tmux is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ccm_orchestrator.adapters.tmux.names import command_line
from ccm_orchestrator.domain.run import WindowRef
from ccm_orchestrator.errors import TerminalUnavailable

Command = Sequence[str]
"""`("kill-pane", "-t", "%3")`."""

Request = Sequence[Command]
"""A sequence that runs without anything in between, up to the first command that fails."""

IDENTITY: Command = ("display-message", "-p", "#{pid}\t#{start_time}")

CLOCK_OPTION = "@ccm_now"
"""A server option that holds `%s`: the only way for a tmux condition to know the time."""


@dataclass(frozen=True, slots=True)
class Server:
    """One life of a tmux server; window and pane ids mean something only within it."""

    pid: int
    start: int

    @classmethod
    def read(cls, text: str) -> Server:
        """From the answer to IDENTITY."""
        pid, _, start = text.strip().partition("\t")
        if not (pid.isdigit() and start.isdigit()):
            raise TerminalUnavailable(f"tmux did not say which server it is, but: {text[:200]!r}")
        return cls(int(pid), int(start))

    @classmethod
    def of(cls, window: WindowRef) -> Server:
        return cls(window.server_pid, window.server_start)

    def window(self, window_id: str) -> WindowRef:
        return WindowRef(self.pid, self.start, window_id)


@dataclass(frozen=True, slots=True)
class Reply:
    ok: bool
    text: str
    """What the request printed; when not ok, tmux's message."""


@dataclass(frozen=True, slots=True)
class Answer:
    server: Server
    replies: tuple[Reply, ...]
    """One per request, in order."""


class NotConnected(TerminalUnavailable):
    """tmux could not be reached, and nothing was sent to it."""


class CommandClient(Protocol):
    """A way to run tmux commands; may be used from any thread and any event loop."""

    async def run(self, *requests: Request) -> Answer:
        """All requests go to the same server. A request that fails does not keep the next from running.

        Raises: TerminalUnavailable (also NotConnected) when tmux does not answer in time. Requests may have been
        carried out all the same, or may still be: wrap in `guarded` what must not happen late.
        """

    async def close(self) -> None: ...


def guarded(request: Request, server: Server, deadline_unix_s: int) -> Request:
    """The request, carried out only by this very server and only before the deadline.

    A hung tmux works off its backlog when it wakes up: a key press from then would meet another dialog.
    """
    same_server = f"#{{==:#{{pid}}.#{{start_time}},{server.pid}.{server.start}}}"
    in_time = f"#{{e|<:#{{T:{CLOCK_OPTION}}},{deadline_unix_s}}}"
    return [("if-shell", "-F", f"#{{&&:{same_server},{in_time}}}", command_line(request))]
