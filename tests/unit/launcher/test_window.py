"""What a person sees of a stream of JSON objects."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccm_orchestrator.launcher.window import StreamView, show


def shown(**record: object) -> str:
    return show(json.dumps(record).encode())


def said(*blocks: object) -> str:
    return shown(type="assistant", message={"role": "assistant", "content": list(blocks)})


def answered(content: object, is_error: bool = False) -> str:
    block = {"type": "tool_result", "tool_use_id": "t", "content": content, "is_error": is_error}
    return shown(type="user", message={"role": "user", "content": [block]})


def test_text_commands_and_tools_are_told_apart() -> None:
    text = said(
        {"type": "thinking", "thinking": "hm"},
        {"type": "text", "text": "I look.\nThen I write."},
        {"type": "tool_use", "name": "Bash", "input": {"command": "make test", "description": "Test"}},
        {"type": "tool_use", "name": "Read", "input": {"file_path": "/a/b.py", "limit": 3}},
        {"type": "tool_use", "name": "Odd", "input": ["?"]},
    )
    assert text == "● I look.\nThen I write.\n  $ make test\n  → Read /a/b.py\n  → Odd\n"


def test_long_results_are_cut() -> None:
    text = answered("\n".join(f"line {number}" for number in range(100)))
    assert text.splitlines()[0] == "    ⎿ line 0"
    assert text.splitlines()[-1] == "      … 94 more lines"
    assert len(text.splitlines()) == 7


def test_results_may_be_lists_of_parts_and_errors() -> None:
    assert (
        answered([{"type": "text", "text": "no"}, {"type": "image"}], is_error=True) == "    ✗ no\n      (not text)\n"
    )


def test_the_last_line_has_the_price() -> None:
    text = shown(
        type="result", subtype="success", num_turns=3, duration_ms=12345, total_cost_usd=0.0123, is_error=False
    )
    assert text == "[success · 3 turns · 12.3 s · 0.0123 USD]\n"


def test_a_failure_says_why() -> None:
    text = shown(type="result", subtype="success", is_error=True, result="API Error: 529")
    assert text == "✗ API Error: 529\n[success]\n"


@pytest.mark.parametrize("hidden", ["\x1b[2J", "\x1b]0;owned\x07", "\x9b31m", "\u202egnp", "\r", "\x00", "\x08"])
def test_no_control_character_passes(hidden: str) -> None:
    lines = (
        said(
            {"type": "text", "text": f"a{hidden}b"}, {"type": "tool_use", "name": "Bash", "input": {"command": hidden}}
        ),
        answered(hidden),
        shown(type="result", subtype=hidden, is_error=True, result=hidden),
        shown(type="system", subtype="init", model=hidden, session_id=hidden),
        show(f"not JSON {hidden}".encode()),
    )
    text = "".join(lines)
    assert not [character for character in text if ord(character) < 32 and character != "\n"]
    assert not set(text) & {"\x9b", "\u202e", "\x7f"}


@given(st.binary(max_size=200))
def test_garbage_is_harmless(line: bytes) -> None:
    text = show(line.replace(b"\n", b""))
    assert all(character == "\n" or ord(character) >= 32 for character in text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(st.sampled_from(["system", "assistant", "user", "result", "other"]), json_values, json_values)
def test_records_of_another_shape_are_harmless(kind: str, message: object, inner: object) -> None:
    shown(type=kind, message=message, subtype="init", num_turns=inner, duration_ms=inner, result=inner, is_error=inner)
    shown(type=kind, message={"content": [message, {"type": "tool_use", "name": inner, "input": message}]})
    shown(type=kind, message={"content": [{"type": "tool_result", "content": inner}, {"type": "text", "text": inner}]})


@given(st.lists(st.binary(min_size=1, max_size=30), max_size=20))
def test_pieces_make_the_same_lines(pieces: list[bytes]) -> None:
    in_pieces, at_once = StreamView(), StreamView()
    text = "".join(map(in_pieces.feed, pieces)) + in_pieces.finish()
    assert text == at_once.feed(b"".join(pieces)) + at_once.finish()


def test_a_line_without_end_does_not_eat_the_memory() -> None:
    view = StreamView()
    for _ in range(6):
        assert view.feed(b"x" * (1 << 20)) == ""
    assert view.feed(b"\nnext\n") == f"(a line of {6 << 20} bytes)\nnext\n"


def test_deep_nesting_is_harmless() -> None:
    assert show(b"[" * 100_000).startswith("[[[")
