"""Foreign text reaches a person's terminal as text."""

import unicodedata
from datetime import UTC, datetime

import pytest

from ccm_orchestrator.cli.views.plain import ago, dollars, duration, narrowed, number, plain

EMOJI = "👩\u200d💻 👩🏽\u200d🚀 ❤\ufe0f\u200d🔥 1\ufe0f\u20e3 می\u200cخواهم"


@pytest.mark.parametrize(
    ("foreign", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;new title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPq#0\x1b\\sixel", "sixel"),
        ("a\x08\x08b\rc\x7f\x9b31m", "abc31m"),
        ("keeps\ttabs\nand lines, é, 日本, 🎉", "keeps\ttabs\nand lines, é, 日本, 🎉"),
        ("evil\u202eexe.txt", "evilexe.txt"),
        ("one\u2028line\u2029more", "one line more"),
        ("hid\U000e0068\U000e0069den \u200b\ufeff\u2060\xad.", "hidden ."),
        ("a\ufe0f\ufe01\U000e0101\U000e0102b", "a\ufe0fb"),
        ("a\u200db\u200cc\u200d", "abc"),
        (
            "👩\u200d💻 👩🏽\u200d🚀 ❤\ufe0f\u200d🔥 1\ufe0f\u20e3 می\u200cخواهم",
            "👩\u200d💻 👩🏽\u200d🚀 ❤\ufe0f\u200d🔥 1\ufe0f\u20e3 می\u200cخواهم",
        ),
        (EMOJI, EMOJI),
        ("葛\U000e0100", "葛\U000e0100"),
        ("lone \ud800 surrogate", "lone ? surrogate"),
        ("unended \x1b]0;title", "unended "),
    ],
)
def test_nothing_but_text_is_left(foreign: str, shown: str) -> None:
    assert plain(foreign) == shown


def test_of_all_characters_that_format_only_those_that_are_seen_are_left() -> None:
    """The signs of numbers and verses that some scripts write around others, and what joins hieroglyphs."""
    seen = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD, *range(0x13430, 0x13440)}
    left = {code for code in range(0x110000) if f"a{chr(code)}b" == plain(f"a{chr(code)}b")}
    formats = {code for code in left if unicodedata.category(chr(code)) in ("Cf", "Zl", "Zp", "Cc")}
    assert formats - seen == {ord("\n"), ord("\t")}


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.84, "0.8 s"),
        (7, "7 s"),
        (42.3, "42 s"),
        (60, "1 min"),
        (185, "3 min 5 s"),
        (7800, "2 h 10 min"),
        (273_600, "3 d 4 h"),
    ],
)
def test_durations(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("timestamp", "shown"),
    [
        ("2026-01-01T11:59:18+00:00", "42 s ago"),
        ("2026-01-01T11:56:55Z", "3 min ago"),
        ("2026-01-01T14:00:30Z", "in 2 h"),
        ("2026-01-01T12:00:05Z", "in 5 s"),
        ("2025-12-30T12:00:00Z", "2 d ago"),
        (None, ""),
    ],
)
def test_points_in_time(timestamp: str | None, shown: str) -> None:
    assert ago(timestamp, datetime(2026, 1, 1, 12, tzinfo=UTC)) == shown


def test_lines_of_a_screen_are_shortened_to_the_width_and_words_are_not() -> None:
    screen = "─" * 200 + "\n" + "─" * 180 + " ccm-1f3c9a2b ─\n" + "word " * 40 + "\n╭──╮"
    rule, titled, words, box = narrowed(screen, 80).split("\n")
    assert (len(rule), len(titled)) == (80, 80) and titled.endswith(" ccm-1f3c9a2b ─")
    assert (words, box) == ("word " * 40, "╭──╮")
    assert narrowed(screen, 300) == screen


def test_numbers() -> None:
    assert (number(1234567), dollars(None), dollars(0.01234), dollars(12.346)) == (
        "1 234 567",
        "unknown",
        "$0.0123",
        "$12.35",
    )
