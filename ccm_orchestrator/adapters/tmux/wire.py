"""Reading tmux's control mode.

The answer to a command comes as

    %begin 1700000000 265 1
    …what the command printed, verbatim: a captured screen may well contain lines like these…
    %end 1700000000 265 1          (or %error)

with notifications (`%window-add @3`) between blocks. What a pane shows must never be taken for the protocol, so every
request is followed by a fence: a command that prints a secret that no pane can know.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ccm_orchestrator.adapters.tmux.commands import Reply

_BEGIN = re.compile(rb"^%begin (\d+ \d+ 1)\r?\n", re.MULTILINE)
_ATTACHED = re.compile(rb"^%(end|error) \d+ \d+ 0\r?\n", re.MULTILINE)


def attach_result(received: bytes) -> tuple[bool, int] | None:
    """Whether the client could attach, and where in `received` that answer ends; None when it is not there yet."""
    match = _ATTACHED.search(received)
    return None if match is None else (match[1] == b"end", match.end())


def before_fence(received: bytes, fence: bytes) -> tuple[bytes, bytes] | None:
    """What came before the fence's own block, and what came after it; None when it is not complete yet."""
    at = received.find(fence + b"\n")
    if at < 0:
        return None
    end = received.find(b"\n", at + len(fence) + 1)  # of the line `%end …`
    if end < 0:
        return None
    begin = received.rfind(b"%begin ", 0, at)
    return received[:begin], received[end + 1 :]


def read_reply(body: bytes, commands: int) -> Reply:
    """The reply to a request of that many commands.

    The output of a single command is everything from its first line to the last that can end it. Sequences must print
    nothing that comes from a pane.
    """
    texts = []
    for ok, text in _blocks(body, greedy=commands == 1):
        if not ok:
            return Reply(False, text)
        texts.append(text)
    return Reply(True, "\n".join(filter(None, texts)) if commands > 1 else "".join(texts))


def _blocks(body: bytes, greedy: bool) -> Iterator[tuple[bool, str]]:
    position = 0
    while begin := _BEGIN.search(body, position):
        ends = list(re.finditer(rb"^%(end|error) " + begin[1] + rb"\r?\n", body[begin.end() :], re.MULTILINE))
        if not ends:
            yield False, "the answer was cut off"
            return
        end = ends[-1] if greedy else ends[0]
        yield end[1] == b"end", _text(body[begin.end() : begin.end() + end.start()])
        position = begin.end() + end.end()


def _text(raw: bytes) -> str:
    return raw.removesuffix(b"\n").decode(errors="replace")


def complaint(received: bytes) -> str:
    """What a client that ended said last, without the protocol around it."""
    lines = [line.strip() for line in received.decode(errors="replace").splitlines()]
    return "; ".join(line for line in lines if line and not line.startswith("%"))
