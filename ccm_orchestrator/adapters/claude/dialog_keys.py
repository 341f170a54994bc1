"""Which key gives an answer in a dialog: for requests that no hook holds any more.

A key answers whatever is on the screen, so it is named only when the screen shows this very request.

     ☐ Colour

    Which colour shall the button have?

    ❯ 1. Red
         Like a warning
      2. Blue
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ccm_orchestrator.adapters.claude.layout import ESCAPES
from ccm_orchestrator.domain.agent import Dialog
from ccm_orchestrator.domain.asking import screen_shows
from ccm_orchestrator.domain.dialogue import Decision, PermissionRequest, Verdict
from ccm_orchestrator.ports.terminal import Key

_CHOICE = re.compile(r"^[\s│❯]*([1-9])\. (.+?)[\s│]*$", re.MULTILINE)
_APPROVES_PLAN = re.compile(r"yes, (?:and )?manually approve edits", re.IGNORECASE)
"""What an answer over the hook does as well."""
_NOISE = re.compile(r"[\s│#*_`~>-]+")
_SAME_PLACE = 40
"""So many characters of a plan's end tell it from another one."""


def dialog_key(request: PermissionRequest, verdict: Verdict, screen: str) -> str | Key | None:
    """A key, or a character to type; None when the screen does not show the request, or no key gives the answer."""
    clean = ESCAPES.sub("", screen)
    if not _shows(request, clean):
        return None
    if verdict.decision is Decision.DENY:
        return Key.ESCAPE
    match request.dialog:
        case Dialog.PERMISSION:
            return Key.YES if verdict.updated_input is None else None
        case Dialog.QUESTION:
            return _choice_of(request, verdict, clean)
        case Dialog.PLAN:
            choices = _CHOICE.findall(clean)
            found = (digit for digit, label in choices if _APPROVES_PLAN.match(label))
            return next(found, None) if verdict.updated_input is None else None
        case _:
            return None


def _shows(request: PermissionRequest, screen: str) -> bool:
    given = request.tool_input
    match request.dialog:
        case Dialog.PERMISSION:
            return screen_shows(screen, given)
        case Dialog.QUESTION:
            question = _only_question(given)
            return question is not None and _squeezed(str(question.get("question"))) in _squeezed(screen)
        case Dialog.PLAN:
            end = _squeezed(str(given.get("plan", "")))[-_SAME_PLACE:]
            return bool(end) and end in _squeezed(screen)
        case _:
            return False


def _choice_of(request: PermissionRequest, verdict: Verdict, screen: str) -> str | None:
    """The digit before the answer, which takes it at once. Several questions, or several answers, are not so simple."""
    question, answers = _only_question(request.tool_input), (verdict.updated_input or {}).get("answers")
    if question is None or not isinstance(answers, Mapping) or question.get("multiSelect"):
        return None
    options = question.get("options")
    if not isinstance(options, list):
        return None
    labels = [option.get("label") if isinstance(option, Mapping) else None for option in options]
    answer = answers.get(str(question.get("question")))
    if answer not in labels:
        return None
    number = str(labels.index(answer) + 1)
    below = screen[screen.rindex("☐") :] if "☐" in screen else screen
    return number if (number, answer) in _CHOICE.findall(below) else None


def _only_question(given: Mapping[str, object]) -> Mapping[str, object] | None:
    asked = given.get("questions")
    if isinstance(asked, list) and len(asked) == 1 and isinstance(asked[0], Mapping):
        return asked[0]
    return None


def _squeezed(text: str) -> str:
    """Without what a renderer of Markdown adds or takes away."""
    return _NOISE.sub("", re.sub(r"[\u2500-\u257f]+", "", text))
