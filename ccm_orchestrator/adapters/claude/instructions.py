"""What the text of an agent, a command or a skill brings along beside its text. Pure.

The head of such a file is YAML, which can say the same in many ways: a head that is not of the plainest form counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_HARMLESS = """
    agent argument-hint arguments author category color compatibility context description disable-model-invocation
    disallowedTools effort globs homepage keywords license maxTurns metadata model name paths skills tags title tools
    user-invocable version when_to_use
"""
HARMLESS = frozenset(_HARMLESS.split())
_OPENING = re.compile(r"\A\ufeff?---[^\n]*\n")
_CLOSING = re.compile(r"(?m)^---")
_LINES = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")
_KEY = re.compile(r"([A-Za-z][\w-]*)[ \t]*:(?:[ \t].*)?\Z")
_RISKY_KEY = re.compile(
    r"""(?:^|[{,])\s*["']?(hooks|allowed-tools|allowedTools|mcpServers|permissionMode|permission-mode)["']?\s*:"""
)
_RUNS_COMMANDS = re.compile(r"!`|```!")
_COMMANDS = re.compile(r"!`([^`]*)|```!(.*?)(?:```|\Z)", re.S)


def effects_of_instructions(content: bytes) -> Iterator[str]:
    """One line each, for a person; nothing when it is but a text."""
    text = _text(content)
    keys, understood = _keys(_head(text))
    yield from (f"brings {key} along" for key in sorted(keys - HARMLESS))
    if not understood:
        yield "has a head that is not understood here, so all of it counts"
    if _RUNS_COMMANDS.search(text):
        yield "runs commands when it is used"
    if "\0" in text or "\ufffd" in text:
        yield "is not written in UTF-8, so all of it counts"


def commands_in_instructions(content: bytes) -> list[str]:
    """Where they say what is run: the text around it names files that are only read."""
    text = _text(content)
    return [_head(text), *(inline or block for inline, block in _COMMANDS.findall(text))]


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace")


def _head(text: str) -> str:
    """Up to the closing line. All of it where there is none: Claude Code takes the first `---` anywhere for one."""
    opening = _OPENING.match(text)
    if opening is None:
        return text if "\r" in text and text.lstrip("\ufeff").startswith("---") else ""
    closing = _CLOSING.search(text, opening.end())
    return text[opening.end() : closing.start() if closing else len(text)]


def _keys(head: str) -> tuple[set[str], bool]:
    """Those that are set, and whether that is all that the head can say."""
    keys, understood, owned = set[str](), True, False
    for line in _LINES.split(head):
        keys.update(_RISKY_KEY.findall(line))
        if not line.strip() or line.startswith("#"):
            continue
        key = _KEY.match(line)
        if key:
            keys.add(key[1])
            owned = True
        elif not owned or not line.startswith((" ", "\t", "- ")):
            understood = False
    return keys, understood
