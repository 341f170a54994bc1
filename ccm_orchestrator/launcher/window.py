"""What a person sees in the window of an agent in print mode: its stream of JSON objects as readable lines.

Everything here came from outside, so no control character reaches the terminal, and nothing that is unreadable hurts.
"""

from __future__ import annotations

from ccm_orchestrator.launcher.records import Unreadable, parse_object

_LONGEST_LINE = 4 << 20
"""Bytes; a longer one is named by its size and not parsed."""
_LONGEST_TEXT = 4000
_RESULT_LINES = 6
_HARMLESS = {10: "\n", 9: "    "}
_CONTROLS = [*range(32), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
"""C0, C1, and what reverses the direction of writing."""
_CLEAN = {**dict.fromkeys(_CONTROLS), **_HARMLESS}
_TELLING = ("command", "file_path", "path", "pattern", "url", "query", "description", "prompt")
"""Fields of a tool's input of which the first one present says what the call is about."""


class StreamView:
    """Takes the stream in pieces as they come, gives text for the terminal."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._skipped = 0

    def feed(self, data: bytes) -> str:
        *lines, rest = data.split(b"\n")
        shown = [self._end_line(line) for line in lines]
        self._keep(rest)
        return "".join(shown)

    def finish(self) -> str:
        """What came after the last newline."""
        return self._end_line(b"") if self._rest or self._skipped else ""

    def _keep(self, piece: bytes) -> None:
        if self._skipped or len(self._rest) + len(piece) > _LONGEST_LINE:
            self._skipped += len(self._rest) + len(piece)
            self._rest.clear()
        else:
            self._rest += piece

    def _end_line(self, piece: bytes) -> str:
        self._keep(piece)
        line, skipped = bytes(self._rest), self._skipped
        self._rest.clear()
        self._skipped = 0
        return f"(a line of {skipped} bytes)\n" if skipped else show(line)


def clean(text: str) -> str:
    """Without control characters but newline; tabs become blanks."""
    return text.translate(_CLEAN)


def show(line: bytes) -> str:
    """One line of the stream as lines for a person, each ended; empty when there is nothing to say."""
    text = line.decode(errors="replace").strip()
    try:
        record = parse_object(text)
    except Unreadable:
        return _shorten(clean(text)) + "\n" if text else ""
    shower = _SHOWERS.get(str(record.get("type")))
    shown = clean(shower(record)).strip("\n") if shower else ""
    return f"{shown}\n" if shown else ""


def _shorten(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]} … ({len(text)} characters)"


def _system(record: dict[str, object]) -> str:
    if record.get("subtype") != "init":
        return ""
    return f"model {record.get('model')} · session {record.get('session_id')}"


def _assistant(record: dict[str, object]) -> str:
    return "\n".join(filter(None, map(_said, _blocks(record))))


def _said(block: dict[str, object]) -> str:
    match block.get("type"):
        case "text":
            return f"\n● {_shorten(str(block.get('text')).strip())}"
        case "tool_use":
            return _call(block)
    return ""


def _call(block: dict[str, object]) -> str:
    name, given = str(block.get("name")), block.get("input")
    fields = given if isinstance(given, dict) else {}
    if name == "Bash" and "command" in fields:
        return f"  $ {_shorten(str(fields['command']))}"
    telling = next((str(fields[key]) for key in _TELLING if key in fields), "")
    return f"  → {name} {_shorten(telling)}".rstrip()


def _user(record: dict[str, object]) -> str:
    return "\n".join(_answer(block) for block in _blocks(record) if block.get("type") == "tool_result")


def _answer(block: dict[str, object]) -> str:
    content = block.get("content")
    if isinstance(content, list):
        content = "\n".join(str(part.get("text", "(not text)")) for part in content if isinstance(part, dict))
    lines = _shorten(str(content or "").strip()).split("\n")
    if len(lines) > _RESULT_LINES:
        lines[_RESULT_LINES:] = [f"… {len(lines) - _RESULT_LINES} more lines"]
    mark = "✗" if block.get("is_error") else "⎿"
    return "\n".join(f"    {'  ' if index else mark + ' '}{line}" for index, line in enumerate(lines))


def _result(record: dict[str, object]) -> str:
    facts = [str(record.get("subtype"))]
    if (turns := record.get("num_turns")) is not None:
        facts.append(f"{turns} turns")
    if isinstance(duration_ms := record.get("duration_ms"), int | float):
        facts.append(f"{duration_ms / 1000:.1f} s")
    if isinstance(cost_usd := record.get("total_cost_usd"), int | float):
        facts.append(f"{cost_usd:.4f} USD")
    failure = f"\n✗ {_shorten(str(record.get('result')))}" if record.get("is_error") and record.get("result") else ""
    return f"{failure}\n[{' · '.join(facts)}]"


def _blocks(record: dict[str, object]) -> list[dict[str, object]]:
    message = record.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []


_SHOWERS = {"system": _system, "assistant": _assistant, "user": _user, "result": _result}
