"""Answers to what agents ask, checked against what was asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ccm_orchestrator.domain.agent import Dialog
from ccm_orchestrator.domain.dialogue import AnswerScope, Decision, PermissionRequest, Verdict
from ccm_orchestrator.domain.forms import content
from ccm_orchestrator.errors import InputError


def completed(request: PermissionRequest, verdict: Verdict, answers: Mapping[str, str] | None) -> Verdict:
    """The verdict with a question's answers in its input: an agent that is allowed to ask still waits for them.

    Raises: InputError.
    """
    if request.dialog not in (Dialog.QUESTION, Dialog.ELICITATION):
        if answers is not None:
            raise InputError("Answers belong to a question; this request needs only `allow` or `deny`.")
        return verdict
    if verdict.scope is not AnswerScope.ONCE:
        raise InputError("A question is answered once: leave `scope` at `once`.")
    if request.dialog == Dialog.ELICITATION:
        return _filled_in(request, verdict, answers)
    if answers is None:
        if verdict.decision is Decision.ALLOW and verdict.updated_input is None:
            raise InputError(f"The agent asks a question: give `answers` to {_listed(request)}, or deny it.")
        return verdict
    if verdict.decision is Decision.DENY:
        raise InputError("A question that is denied has no answers: give `allow`, or leave them away.")
    _check(request, answers)
    return replace(verdict, updated_input={**request.tool_input, "answers": dict(answers)})


def _filled_in(request: PermissionRequest, verdict: Verdict, answers: Mapping[str, str] | None) -> Verdict:
    """The form of an MCP server, which is declined, or accepted with its fields."""
    if verdict.decision is Decision.DENY:
        return verdict
    values = content(request.tool_input.get("requested_schema"), answers or {})
    return replace(verdict, updated_input={**request.tool_input, "content": values})


def questions(request: PermissionRequest) -> Sequence[str]:
    """What a question asks, as far as it can be read."""
    asked = request.tool_input.get("questions")
    found = [each.get("question") for each in asked if isinstance(each, Mapping)] if isinstance(asked, list) else []
    return [text for text in found if isinstance(text, str)]


def _check(request: PermissionRequest, answers: Mapping[str, str]) -> None:
    asked = questions(request)
    unknown = [text for text in answers if asked and text not in asked]
    if unknown:
        raise InputError(f"The agent did not ask {unknown[0]!r}; it asks {_listed(request)}.")
    missing = [text for text in asked if not answers.get(text, "").strip()]
    if missing:
        raise InputError(f"The answer to {missing[0]!r} is missing.")


def _listed(request: PermissionRequest) -> str:
    return ", ".join(map(repr, questions(request))) or "it"
