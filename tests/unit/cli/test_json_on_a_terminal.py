"""What `--json` prints goes to terminals, too."""

from __future__ import annotations

import io
import json
import sys

import pytest

from ccm_orchestrator.cli.session import Session, print_json

HOSTILE = [
    "\x9b2J",
    "\x9d0;owned\x9c",
    "\x7f",
    "\u202egnp",
    "\u2066",
    "\u2028",
    "\x1b[2J",
    "\ud800",
    "\U000e0041",
    "a\nb\r",
]


def _terminal(monkeypatch: pytest.MonkeyPatch, name: str, encoding: str) -> io.BytesIO:
    written = io.BytesIO()
    monkeypatch.setattr(sys, name, io.TextIOWrapper(written, encoding=encoding, write_through=True))
    return written


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("hidden", HOSTILE, ids=ascii)
def test_a_text_in_json_sends_nothing_to_the_terminal_and_stays_what_it_is(
    hidden: str, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = _terminal(monkeypatch, "stdout", encoding)
    print_json({"title": f"Tür {hidden}", hidden: ["日本"]})
    shown = written.getvalue().decode(encoding)
    assert [char for char in shown if not char.isprintable() and char != "\n"] == []
    assert len(shown.splitlines()) == 6
    assert json.loads(shown) == {"title": f"Tür {hidden}", hidden: ["日本"]}
    assert ("Tür" in shown) is (encoding == "utf-8")


def test_a_note_sends_nothing_to_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    written = _terminal(monkeypatch, "stderr", "utf-8")
    Session().note("about \x1b]0;owned\x07this\x9b2J task")
    assert written.getvalue().decode() == "about this2J task\n"
