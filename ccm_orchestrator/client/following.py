"""A stream of server-sent events that outlives its connections. Pure: whoever follows it connects, reads and sleeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

import httpx

from ccm_orchestrator.client.call import Call
from ccm_orchestrator.client.failures import DaemonUnreachable, StreamEnded, UnexpectedAnswer
from ccm_orchestrator.client.patience import PASSING, REFUSED_BEFORE_WORK, Patience
from ccm_orchestrator.client.sse import Frame, FrameReader

Item = TypeVar("Item")
SILENCE_S = 60.0
"""The daemon says that it lives more often than this."""
RETURN_S = 2.0
"""Until the server says how long it wants clients to wait before they come back."""


def _never(_frame: Frame) -> bool:
    return False


def _same(call: Call[Any], _first: Frame | None) -> Call[Any]:
    return call


@dataclass(frozen=True, slots=True)
class Stream(Generic[Item]):
    """What to ask for, and what its frames mean."""

    call: Call[Any]
    read: Callable[[Frame], Item | None]
    """None: the frame is of no interest."""
    is_last: Callable[[Frame], bool] = field(default=_never)
    again: Callable[[Call[Any], Frame | None], Call[Any]] = field(default=_same)
    """What to ask for after a break, from the call and the first frame, to which Last-Event-ID is added."""


class Following(Generic[Item]):
    """How far one reader of a stream has come."""

    def __init__(self, stream: Stream[Item], patience: Patience, now: float) -> None:
        self._stream = stream
        self._patience = patience
        self._heard_at = now
        self._first: Frame | None = None
        self._reader = FrameReader()
        self.ended = False
        """The stream's last frame was read."""

    def upcoming(self) -> Call[Any]:
        """What to ask for now."""
        wanted = {"Accept": "text/event-stream"}
        call, last_id = self._stream.call, self._reader.last_id
        if last_id is not None or self._first is not None:
            call = self._stream.again(call, self._first)
        if last_id is not None:
            wanted["Last-Event-ID"] = last_id
        retry_s = self._reader.retry_s
        self._reader = FrameReader(last_id)
        self._reader.retry_s = retry_s
        return replace(call, headers={**call.headers, **wanted})

    def read(self, chunk: bytes, now: float) -> Iterator[Item]:
        self._heard_at = now
        for frame in self._reader.feed(chunk):
            self._first = self._first or frame
            try:
                item = self._stream.read(frame)
            except ValueError as error:
                raise UnexpectedAnswer(f"An event of the stream cannot be read: {error}.") from error
            if item is not None:
                yield item
            if self._stream.is_last(frame):
                self.ended = True
                return

    def pause_s(self, now: float, chance: float, error: DaemonUnreachable | None) -> float:
        """How long to wait before coming back. Raises: DaemonUnreachable when nothing was heard for too long."""
        if now - self._heard_at >= self._patience.absence_s or not self._may_return:
            raise error or StreamEnded
        longest_s = RETURN_S if self._reader.retry_s is None else self._reader.retry_s
        return longest_s * (1 + chance) / 2

    @property
    def _may_return(self) -> bool:
        """A request that must not be sent twice is not, unless the stream has said how it goes on."""
        return self._stream.call.repeatable or self._first is not None


def is_passing(answer: httpx.Response) -> bool:
    """A refusal after which coming back makes sense."""
    return answer.status_code in PASSING | REFUSED_BEFORE_WORK
