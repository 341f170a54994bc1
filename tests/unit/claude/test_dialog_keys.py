"""Keys that answer a dialog, on recorded screens: the right one, and none unless the screen shows this very request."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ccm_orchestrator.adapters.claude.dialog_keys import dialog_key
from ccm_orchestrator.domain.dialogue import Decision, PermissionRequest, PermissionStatus, Verdict
from ccm_orchestrator.ports.terminal import Key

SCREENS = Path(__file__).parents[2] / "screens"
COLOUR = "Which colour shall the button have?"
QUESTION = {"questions": [{"question": COLOUR, "options": [{"label": "Red"}, {"label": "Blue"}]}]}
PLAN = {"plan": "# Plan\n1. Write plan.txt\n2. Show it\n"}
DATE = {"command": "date > stamp.txt", "description": "Write the date into stamp.txt"}
DENY = Verdict(Decision.DENY, "ada")
ALLOW = Verdict(Decision.ALLOW, "ada")


def request(dialog: str, given: dict[str, Any]) -> PermissionRequest:
    now = datetime(2026, 1, 5, tzinfo=UTC)
    return PermissionRequest("p", "r", "t", dialog, "Tool", given, (), PermissionStatus.OPEN, now)


def answered(**answers: str) -> Verdict:
    given = {COLOUR if name == "colour" else name: answer for name, answer in answers.items()}
    return Verdict(Decision.ALLOW, "ada", updated_input={**QUESTION, "answers": given})


def key(case: str, release: str, dialog: str, given: dict[str, Any], verdict: Verdict) -> str | None:
    return dialog_key(request(dialog, given), verdict, (SCREENS / f"{case}.{release}" / "screen.txt").read_text())


@pytest.mark.parametrize("release", ["2.1.197", "2.1.329"])
@pytest.mark.parametrize(
    ("case", "dialog", "given", "verdict", "pressed"),
    [
        ("own-permission", "permission", DATE, ALLOW, Key.YES),
        ("own-permission", "permission", DATE, DENY, Key.ESCAPE),
        ("own-permission", "permission", DATE | {"command": "date"}, ALLOW, None),
        ("own-permission", "permission", DATE, Verdict(Decision.ALLOW, "ada", updated_input=DATE), None),
        ("own-question", "question", QUESTION, answered(colour="Red"), "1"),
        ("own-question", "question", QUESTION, answered(colour="Blue"), "2"),
        ("own-question", "question", QUESTION, DENY, Key.ESCAPE),
        ("own-question", "question", QUESTION, answered(colour="Type something."), None),
        ("own-question", "question", QUESTION, answered(other="Blue"), None),
        ("own-question", "question", {"questions": QUESTION["questions"] * 2}, DENY, None),
        ("own-question", "question", {"questions": [{"question": "Which colour?"}]}, DENY, None),
        ("own-plan", "question", QUESTION, answered(colour="Blue"), None),
        ("own-plan", "plan", PLAN, ALLOW, "2"),
        ("own-plan", "plan", PLAN, DENY, Key.ESCAPE),
        ("own-plan", "plan", {"plan": PLAN["plan"] + "3. Delete it"}, ALLOW, None),
        ("own-plan", "plan", {}, ALLOW, None),
        ("own-question", "elicitation", QUESTION, DENY, None),
    ],
)
def test_a_key_is_named_for_what_is_shown_and_for_nothing_else(
    case: str, release: str, dialog: str, given: dict[str, Any], verdict: Verdict, pressed: str | None
) -> None:
    assert key(case, release, dialog, given, verdict) == pressed


def test_an_answer_that_stands_elsewhere_than_it_was_asked_is_not_pressed() -> None:
    screen = (SCREENS / "own-question.2.1.329" / "screen.txt").read_text()
    swapped = screen.replace("1. Red", "1. Blue").replace("2. Blue", "2. Red")
    assert dialog_key(request("question", QUESTION), answered(colour="Blue"), swapped) is None
    many = {"questions": [QUESTION["questions"][0] | {"multiSelect": True}]}
    assert dialog_key(request("question", many), answered(colour="Blue"), screen) is None
