"""Prompts that Claude Code would take for something else."""

import pytest

from ccm_orchestrator.adapters.claude.prompt import prompt_bytes, shielded

PLAIN = [
    "Fix it",
    "-x --foo",
    "!ls",
    "#tag",
    "?",
    "exit the loop",
    "see /etc/hosts",
    "'quotes' \"too\" $HOME `id`",
    " x ",
]
COMMANDS = ["/help", " /clear", "\n/clear now", "\u2060/clear", "\ufeff /x", "exit", " EXIT ", ":q", "quit\n", ":wq!"]


@pytest.mark.parametrize("text", PLAIN)
def test_plain_text_is_left_alone(text: str) -> None:
    assert shielded(text, "Task:") == text


@pytest.mark.parametrize("text", COMMANDS, ids=ascii)
def test_what_would_be_a_command_gets_a_word_in_front_and_stays_whole(text: str) -> None:
    told = shielded(text, "Task:")
    assert told.startswith("Task: ")
    assert told.endswith(text)


def test_control_characters_are_shown_in_interactive_mode_and_passed_on_in_print_mode() -> None:
    prompt = "a\x1b[31mb\x07c\0d\x7fe\x9bf\tg\r\nh\ri"
    assert prompt_bytes(prompt, interactive=True).decode() == "a␛[31mb␇c␀d␡e\\x9bf\tg\nh␍i"
    assert prompt_bytes(prompt, interactive=False).decode() == prompt


def test_invisible_characters_are_shown_but_those_that_emoji_and_scripts_need() -> None:
    hidden = "a\u202eb\u200bc\ufeffd\U000e0041e\u00adf\u2028g"
    assert prompt_bytes(hidden, interactive=True).decode() == ("a\\u202eb\\u200bc\\ufeffd\\U000e0041e\\u00adf\\u2028g")
    needed = "👩\u200d👧 ❤\ufe0f می\u200cخواهم 🇨🇭"
    assert prompt_bytes(needed, interactive=True).decode() == needed
    assert prompt_bytes(hidden, interactive=False).decode() == hidden


def test_a_lone_surrogate_becomes_its_escape() -> None:
    assert prompt_bytes("half \ud83d", interactive=True) == b"half \\ud83d"


def test_a_large_prompt_is_whole() -> None:
    prompt = "ünï 👩‍👩‍👧 line\n" * 50_000
    assert prompt_bytes(prompt, interactive=True).decode() == prompt
