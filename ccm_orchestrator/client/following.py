"""A stream of server-sent events that outlives its connections. Pure: whoever follows it connects, reads and sleeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

import httpx

from ccm_orchestrator.client.call import Call, as_it_came, get
from ccm_orchestrator.client.failures import StreamEnded, UnexpectedAnswer, refusal
from ccm_orchestrator.client.patience import PASSING, REFUSED_BEFORE_WORK, Patience, retry_after_s
from ccm_orchestrator.client.sse import Frame, FrameReader
from ccm_orchestrator.errors import DaemonUnreachable, OrchestratorError

Item = TypeVar("Item")
SILENCE_S = 60.0
"""The daemon says that it lives more often than this."""
NOTHING_MORE = 204
RETURN_S = 2.0
"""Until the server says how long it wants clients to wait before they come back."""


def _never(_frame: Frame) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Stream(Generic[Item]):
    """What to ask for, and what its frames mean."""

    call: Call[Any]
    read: Callable[[Frame], Item | None]
    """None: the frame is of no interest."""
    is_last: Callable[[Frame], bool] = field(default=_never)


class Following(Generic[Item]):
    """How far one reader of a stream has come."""

    def __init__(self, stream: Stream[Item], patience: Patience, now: float) -> None:
        self._stream = stream
        self._patience = patience
        self._heard_at = now
        self._place: str | None = None
        """Path and query at which the stream goes on, when it is not where it was asked for."""
        self._reader = FrameReader()
        self._refused: OrchestratorError | None = None
        self._asked_s = 0.0
        self.ended = False
        """The stream's last frame was read."""

    def upcoming(self) -> Call[Any]:
        """What to ask for now."""
        wanted = {"Accept": "text/event-stream"}
        call, last_id = self._stream.call, self._reader.last_id
        if self._place is not None:
            call = get(self._place, as_it_came)
        if last_id is not None:
            wanted["Last-Event-ID"] = last_id
        retry_s = self._reader.retry_s
        self._reader = FrameReader(last_id)
        self._reader.retry_s = retry_s
        return replace(call, headers={**call.headers, **wanted})

    def connected(self, answer: httpx.Response) -> bool:
        """Whether there is something to read; False: it was refused for now. Raises: what the daemon says."""
        place = answer.headers.get("Content-Location", "")
        if place.startswith("/") and not place.startswith("//"):
            self._place = place
        self.ended = answer.status_code == NOTHING_MORE
        self._asked_s = retry_after_s(answer)
        self._refused = None if answer.is_success else refusal(answer)
        if self._refused is not None and not self._is_passing(answer.status_code):
            raise self._refused
        return answer.is_success and not self.ended

    def read(self, chunk: bytes, now: float) -> Iterator[Item]:
        self._heard_at = now
        for frame in self._reader.feed(chunk):
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
            raise error or self._refused or StreamEnded
        longest_s = RETURN_S if self._reader.retry_s is None else self._reader.retry_s
        return max(longest_s * (1 + chance) / 2, self._asked_s)

    @property
    def _may_return(self) -> bool:
        """A request that must not be sent twice is not, unless the stream has said how it goes on."""
        return self._stream.call.repeatable or self._place is not None

    def _is_passing(self, status: int) -> bool:
        """A refusal after which coming back makes sense; one that lasts is told at once, unless much was read."""
        has_begun = self._place is not None or self._reader.last_id is not None
        return status in PASSING | REFUSED_BEFORE_WORK and (has_begun or self._asked_s <= self._patience.longest_wait_s)
