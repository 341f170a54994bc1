"""Permission requests told apart, put into a line, and found again on a screen."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccm_orchestrator.domain.asking import request_id, screen_shows, subject


def test_an_id_depends_on_what_is_asked_by_whom_and_how_often_and_on_nothing_else() -> None:
    given = {"command": "npm test", "description": "run"}
    same = request_id("run", None, "Bash", given, 0)
    assert same == request_id("run", None, "Bash", dict(reversed(given.items())), 0)
    others = [
        request_id("other", None, "Bash", given, 0),
        request_id("run", None, "Bash", given, 1),
        request_id("run", "sub", "Bash", given, 0),
        request_id("run", None, "Edit", given, 0),
        request_id("run", None, "Bash", {"command": "npm  test"}, 0),
    ]
    assert len({same, *others}) == 6 and same.startswith("perm-")


@pytest.mark.parametrize(
    ("tool_input", "line"),
    [
        ({"description": "say hi", "command": "echo hi\n\techo"}, "echo hi echo"),
        ({"file_path": "/srv/a.py", "content": "x"}, "/srv/a.py"),
        ({"questions": [1], "note": "first text"}, "first text"),
        ({"command": " "}, ""),
        ({}, ""),
        ({"command": "x" * 300}, "x" * 199 + "…"),
    ],
)
def test_a_subject_is_one_short_line(tool_input: dict[str, object], line: str) -> None:
    assert subject(tool_input) == line


RULE = "─" * 60
COMMAND = "npm run test:unit -- --coverage --ci"
DIALOG = f"""
  ⎿  $ npm run lint
npm run lint
{RULE}
 Bash command
 Run the tests
╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌
 npm run test:unit --
 --coverage --ci
╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌
 Do you want to proceed?
 ❯ 1. Yes
"""
FRAMED = (
    "│ Bash command           │\n│   npm run test:unit -- │\n│   --coverage --ci      │\n│   Run the              │"
)


@pytest.mark.parametrize("screen", [DIALOG, FRAMED], ids=["ruled", "framed"])
@pytest.mark.parametrize(
    ("tool_input", "shown"),
    [
        ({"command": COMMAND, "description": "Run the tests"}, True),
        ({"command": COMMAND.replace(" --ci", "\n--ci"), "description": "Run the tests"}, True),
        ({"command": COMMAND + " && rm -rf /"}, False),
        ({"command": "npm run test:unit -- --coverage"}, False),
        ({"command": "npm run test:unit --"}, False),
        ({"command": "run test:unit -- --coverage --ci"}, False),
        ({"command": "npm run lint"}, False),
        ({"command": "│"}, False),
        ({"command": ""}, False),
        ({"file_path": "/srv/a.py", "description": "Run the tests"}, False),
        ({}, False),
    ],
)
def test_a_screen_shows_a_question_whatever_frames_it(screen: str, tool_input: dict[str, object], shown: bool) -> None:
    assert screen_shows(screen, tool_input) is shown


RECORDED = sorted((Path(__file__).parents[1] / "screens").glob("own-permission*/screen.txt"))


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.parent.name)
def test_recorded_dialogs_show_their_command_and_no_other(path: Path) -> None:
    screen, description = path.read_text(), "Write the date into stamp.txt"
    assert screen_shows(screen, {"command": "date > stamp.txt", "description": description})
    for other in ("date > stamp.tx", "date > stamp.txt; ls", "date", "ate > stamp.txt"):
        assert not screen_shows(screen, {"command": other, "description": description})


def test_there_are_recorded_dialogs() -> None:
    assert len(RECORDED) >= 6
