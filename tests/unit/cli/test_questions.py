"""Names of directories come from strangers, too: from archives and clones."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from ccm_orchestrator.cli.questions import some_of, tell


@pytest.mark.parametrize(
    "name", ["a\x1b]0;owned\x07", "a\x9b2J", "a\u202egnp", "a\n  2. /home/me/other", "a\r", "a\udcff"], ids=ascii
)
def test_the_name_of_a_directory_neither_speaks_to_the_terminal_nor_forges_a_choice(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = Path("/src") / name
    monkeypatch.setattr(typer, "prompt", lambda *_, **__: "1")
    assert some_of("Which?", [found]) == (found,)
    lines = capsys.readouterr().out.split("\n")
    assert [line for line in lines if line] == ["Which?", f"   1. {ascii(str(found))[1:-1]}"]


def test_what_is_told_is_broken_between_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    tell("Give an address as Apprise writes them, such as mailtos://USER:PASSWORD@mail.example.com")
    told = capsys.readouterr().out
    assert told == "\nGive an address as\nApprise writes them,\nsuch as\nmailtos://USER:PASSWORD@mail.example.com\n"
