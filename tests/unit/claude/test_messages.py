"""Typing a message at the prompt."""

import pytest

from ccm_orchestrator.adapters.claude.messages import awaits_enter, has_draft, message_keys, typed_text
from ccm_orchestrator.ports.terminal import Key

RULE = "\x1b[38;5;244m" + "─" * 60


def styled(entered: str) -> str:
    return f"● Done.\n\n{RULE}\n\x1b[39m❯\xa0{entered}\n{RULE}\n\x1b[39m  \x1b[38;5;147m⏵⏵ accept edits on\x1b[39m\n"


EMPTY = styled("\x1b[7m \x1b[0m\x1b[39m\x1b[49m")
PLACEHOLDER = styled("\x1b[7mR\x1b[0;2mesend your message to try again\x1b[0m")
DIM_COLOUR_PLACEHOLDER = styled('\x1b[7mT\x1b[0m\x1b[2m\x1b[38;5;246mry "fix it"\x1b[0m')
DRAFT = styled("my unfinished draft\x1b[7m \x1b[0m")
DRAFT_CURSOR_AT_START = styled("\x1b[7mm\x1b[0my unfinished draft")
COLOURED_DRAFT = styled("\x1b[38;5;2mgreen\x1b[39m\x1b[7m \x1b[0m")
ONE_CHARACTER = styled("\x1b[7mx\x1b[0m")
TWO_LINES = styled("one\n  two\x1b[7m \x1b[0m")


@pytest.mark.parametrize("screen", [DRAFT, DRAFT_CURSOR_AT_START, COLOURED_DRAFT, ONE_CHARACTER, TWO_LINES])
def test_a_draft_is_stashed_first(screen: str) -> None:
    assert has_draft(screen)
    assert message_keys("hello", screen) == [Key.STASH_DRAFT, "hello", Key.ENTER]


@pytest.mark.parametrize("screen", [EMPTY, PLACEHOLDER, DIM_COLOUR_PLACEHOLDER, "", "no box at all"])
def test_a_placeholder_is_no_draft(screen: str) -> None:
    assert not has_draft(screen)
    assert message_keys("hello", screen) == ["hello", Key.ENTER]


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        ("hello", "hello"),
        ("two\nlines\n", "two\nlines"),
        ("/clear", "Message: /clear"),
        (" exit", "Message:  exit"),
        ("!ls", " !ls"),
        ("?", " ?"),
        ("a backslash \\", "a backslash \\ "),
        ("see @READ", "see @READ "),
        ("a@b.example, then", "a@b.example, then"),
        ("tab\there", "tab    here"),
        ("esc\x1b[31m", "esc␛[31m"),
        ("semicolon;", "semicolon;"),
    ],
)
def test_a_message_is_typed_so_that_it_arrives_as_text(text: str, typed: str) -> None:
    assert typed_text(text) == typed


PASTED = styled("Message: /one[Pasted text #2 +31 lines]\x1b[7m \x1b[0m")
PASTED_IN_THE_MIDDLE = styled("one [Pasted text #2 +31 lines]and the end\x1b[7m \x1b[0m")
NEW_LINE = styled("my unfinished draft\n  \x1b[7m \x1b[0m")


LONG = "\n".join(f"line {number} of a long text" for number in range(60))
TALL = "\n".join([*(f"  line {number} of a long text" for number in range(40, 60)), RULE, "  ⏵⏵ accept edits on"])


@pytest.mark.parametrize(
    ("text", "screen", "awaited"),
    [
        ("my unfinished draft", DRAFT, True),
        ("my unfinished draft", NEW_LINE, True),
        ("long before it, my unfinished draft", DRAFT, True),
        ("one\ntwo", TWO_LINES, True),
        ("/one and much more", PASTED, True),
        ("one, two, and the end", PASTED_IN_THE_MIDDLE, True),
        ("one, two, and no end", PASTED_IN_THE_MIDDLE, False),
        ("my unfinished draft that goes on", DRAFT, False),
        ("something else", DRAFT, False),
        ("hello", EMPTY, False),
        ("hello", PLACEHOLDER, False),
        (LONG, TALL, True),
        (f"{LONG}\nand more", TALL, False),
        ("text", TALL, False),
        ("hello", "no box at all", None),
    ],
)
def test_what_stands_at_the_prompt_is_told_from_what_was_submitted(
    text: str, screen: str, awaited: bool | None
) -> None:
    assert awaits_enter(text, screen) is awaited
