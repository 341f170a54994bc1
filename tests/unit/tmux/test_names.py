"""What may reach tmux, and how it is quoted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccm_orchestrator.adapters.tmux.names import (
    chunks,
    command_line,
    encoded,
    exec_arguments,
    program,
    quote,
    session_name,
    window_name,
)
from ccm_orchestrator.errors import TerminalError
from ccm_orchestrator.ports.terminal import typeable


def test_a_window_is_named_after_its_run() -> None:
    assert window_name("1f3c9a2b" + "0" * 24) == "ccm-1f3c9a2b"


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a.b", "#(x)", "=ccm", "ümlaut", "x" * 65, "a\n"])
def test_sockets_and_sessions_have_plain_names(name: str) -> None:
    with pytest.raises(TerminalError, match="expected a tmux name"):
        session_name(name)


@pytest.mark.parametrize("argv", [[], [""], ["", "x"], ["a\0b"], ["sh", "a\0b"]])
def test_a_program_is_something_to_execute(argv: list[str]) -> None:
    with pytest.raises(TerminalError, match="expected a program"):
        program(argv)


def test_a_single_word_is_not_left_to_tmux_as_a_shell_command() -> None:
    assert program(["/opt/a program; x"])[-1] == "/opt/a program; x" and len(program(["true"])) > 1
    assert program(["a", "b"]) == ("a", "b")


@pytest.mark.parametrize(
    ("word", "quoted"),
    [
        ("", '""'),
        ("text;", '"text;"'),
        ("#(touch x)", '"#(touch x)"'),
        ("it's", '"it\'s"'),
        ('a"b', r'"a\"b"'),
        ("$HOME", r'"\$HOME"'),
        ("a\\;", r'"a\\;"'),
        ("one\ntwo\r\t\x1b", r'"one\ntwo\r\t\e"'),
    ],
)
def test_a_quoted_word_is_one_word(word: str, quoted: str) -> None:
    assert quote(word) == quoted


@given(st.lists(st.text(), min_size=1))
def test_a_command_is_always_one_line(words: list[str]) -> None:
    line = command_line([["display-message", *words]])
    assert "\n" not in line and "\r" not in line


def test_a_sequence_is_joined_outside_of_quotes() -> None:
    assert command_line([("kill-pane", "-t", "%1"), ("list-panes",)]) == 'kill-pane "-t" "%1" ; list-panes'


@pytest.mark.parametrize(
    ("word", "passed"), [("x;", r"x\;"), (r"x\;", r"x\\;"), (";", r"\;"), ("a;b", "a;b"), ("", "")]
)
def test_a_semicolon_at_the_end_of_an_argument_stays_one(word: str, passed: str) -> None:
    assert exec_arguments([("send-keys", word), ("list-panes",)]) == ["send-keys", passed, ";", "list-panes"]


@given(st.text())
def test_what_is_typed_has_no_control_characters_and_can_be_encoded(text: str) -> None:
    typed = typeable(text)
    typed.encode()
    assert all(character == "\n" or ord(character) >= 0x20 for character in typed)
    assert typeable(typed) == typed


@given(st.text())
def test_printable_text_is_typed_as_it_is(text: str) -> None:
    if text.isprintable():
        assert typeable(text) == text


@given(st.text(), st.integers(1, 300))
def test_chunks_are_the_text(text: str, size: int) -> None:
    parts = list(chunks(text, size))
    assert "".join(parts) == text and all(0 < len(part) <= size for part in parts)


def test_paths_keep_their_bytes_and_nothing_fails() -> None:
    assert encoded("/tmp/\udcff") == b"/tmp/\xff"
    assert encoded("\ud800é") == "?é".encode()
