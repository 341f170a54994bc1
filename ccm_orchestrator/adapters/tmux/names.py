"""What may reach tmux.

tmux executes `#(…)` found in names and directories, and takes a `;` at the end of an argument for the start of a new
command. So names are built from our own ids only, and every argument is quoted for the way it travels.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ccm_orchestrator.domain.run import agent_name, is_run_id
from ccm_orchestrator.errors import TerminalError

CHUNK_CHARACTERS = 200
"""Longer bursts of keys are taken for a paste by the agents."""

_SESSION = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "$": "\\$", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\x1b": "\\e"}
_NEEDS_ESCAPE = re.compile("[" + "".join(re.escape(character) for character in _ESCAPES) + "]")


def window_name(run_id: str) -> str:
    """`ccm-1f3c9a2b`. Raises TerminalError for anything but 32 lower-case hex digits."""
    if not is_run_id(run_id):
        raise TerminalError(f"expected a run id of 32 hex digits, got: {run_id!r}", run_id=run_id)
    return agent_name(run_id)


def session_name(name: str) -> str:
    """The name, if it can be a socket or session name everywhere tmux reads one."""
    if not _SESSION.fullmatch(name):
        raise TerminalError(f"expected a tmux name of letters, digits, - and _, got: {name!r}")
    return name


def program(argv: Sequence[str]) -> tuple[str, ...]:
    """argv such that tmux executes it without a shell in between (a single argument it would hand to one)."""
    if not argv or not argv[0] or any("\0" in argument for argument in argv):
        raise TerminalError(f"expected a program and its arguments without NUL characters, got: {list(argv)!r}")
    return tuple(argv) if len(argv) > 1 else ("/bin/sh", "-c", 'exec "$0"', argv[0])


def chunks(text: str, size: int = CHUNK_CHARACTERS) -> Iterator[str]:
    return (text[start : start + size] for start in range(0, len(text), size))


def quote(argument: str) -> str:
    """The argument as one word of tmux's command language, on one line."""
    return '"' + _NEEDS_ESCAPE.sub(lambda match: _ESCAPES[match[0]], argument) + '"'


def command_line(commands: Sequence[Sequence[str]]) -> str:
    """A sequence in tmux's command language: each command runs only if the one before succeeded."""
    return " ; ".join(" ".join([name, *map(quote, arguments)]) for name, *arguments in commands)


def exec_arguments(commands: Sequence[Sequence[str]]) -> list[str]:
    """The same sequence as arguments of a `tmux` process."""
    arguments: list[str] = []
    for command in commands:
        if arguments:
            arguments.append(";")
        arguments += [word[:-1] + "\\;" if word.endswith(";") else word for word in command]
    return arguments


def encoded(text: str) -> bytes:
    """Paths keep the bytes that are no UTF-8; what cannot come from a path becomes a question mark."""
    try:
        return text.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return text.encode(errors="replace")
