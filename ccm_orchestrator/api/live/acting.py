"""What a client of a WebSocket wants done: read, judged by its scopes, done, and answered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, assert_never

from pydantic import ValidationError

from ccm_orchestrator.api import problems
from ccm_orchestrator.api.access import visible_permission
from ccm_orchestrator.api.answering import decide
from ccm_orchestrator.api.approval_schemas import PermissionOutput
from ccm_orchestrator.api.auditing import write_down
from ccm_orchestrator.api.live.frames import FrameType
from ccm_orchestrator.api.live.inbound import INBOUND, Answer, Interrupt, ScreenInput, Sent, UserMessage
from ccm_orchestrator.api.live.subjects import Subject
from ccm_orchestrator.api.services import ApiServices
from ccm_orchestrator.api.snapshots import told
from ccm_orchestrator.domain.caller import Caller, Scope
from ccm_orchestrator.engine.hands import Hands
from ccm_orchestrator.errors import Forbidden, OrchestratorError

Reply = tuple[FrameType, str, dict[str, Any]]
Wanted = UserMessage | Answer | Interrupt | ScreenInput

DONE = 202
NEEDED: dict[type[Sent], frozenset[Scope]] = {
    UserMessage: frozenset({Scope.CONTROL}),
    Interrupt: frozenset({Scope.CONTROL}),
    Answer: frozenset({Scope.APPROVE}),
    ScreenInput: frozenset({Scope.CONTROL, Scope.APPROVE}),
}
"""A key in the window may answer a dialog as well."""


async def answer_to(services: ApiServices, caller: Caller, subject: Subject, text: str) -> Reply:
    """Whatever the client sent is answered: by a receipt, or by an error with a problem document."""
    try:
        wanted = INBOUND.validate_json(text)
    except ValidationError as error:
        problem = problems.problem_of_validation(error.errors(include_url=False))
        return _refusal(problem, _id_in(text))
    try:
        _check(caller, wanted)
        done = await _do(services, caller, subject, wanted)
    except OrchestratorError as error:
        problem = problems.problem_of(error)
        await _write_down(services, caller, subject, wanted, problem.status)
        return _refusal(problem, wanted.id)
    await _write_down(services, caller, subject, wanted, DONE, done)
    return FrameType.RECEIPT, wanted.type, {"reply_to": wanted.id, **done}


async def _write_down(
    services: ApiServices,
    caller: Caller,
    subject: Subject,
    wanted: Wanted,
    status: int,
    done: Mapping[str, Any] | None = None,
) -> None:
    """Who said what to whom is in the audit log before it is answered."""
    ref = next(reversed(subject.names().values()), "")
    after = dict(done or {})
    for part in after.copy().values():
        after |= part if isinstance(part, dict) else {}
    await write_down(services, caller, f"WS {wanted.type}", f"/ws/{ref}", status, after=told(after) or None)


def _check(caller: Caller, wanted: Wanted) -> None:
    for scope in sorted(NEEDED[type(wanted)]):
        if not caller.may(scope):
            raise Forbidden(
                f"`{wanted.type}` needs the scope `{scope}`, which the credential {caller.name} does not have."
            )


async def _do(services: ApiServices, caller: Caller, subject: Subject, wanted: Wanted) -> dict[str, Any]:
    hands = Hands(services.control, services.terminal)
    match wanted:
        case UserMessage():
            return await subject.say(services, caller, wanted)
        case Answer():
            ref = await _asked(services, caller, subject, wanted)
            decided = await decide(services, caller, ref, wanted)
            return {"permission": PermissionOutput.of(decided).model_dump(mode="json")}
        case Interrupt():
            return {"agent": (await hands.interrupt(await subject.agent())).name}
        case ScreenInput():
            return {"agent": (await hands.type(await subject.agent(), wanted.text, wanted.keys)).name}
        case _:
            assert_never(wanted)


async def _asked(services: ApiServices, caller: Caller, subject: Subject, wanted: Answer) -> str:
    if wanted.request_id is None:
        return await subject.agent()
    return (await visible_permission(services, caller, wanted.request_id)).request_id


def _refusal(problem: problems.Problem, reply_to: str | None) -> Reply:
    return FrameType.ERROR, problem.detail, {"reply_to": reply_to, "problem": problem.model_dump(exclude_none=True)}


def _id_in(text: str) -> str | None:
    """Of a message that cannot be used, for the client to know which one it was."""
    try:
        sent = json.loads(text)
    except (ValueError, RecursionError):
        return None
    found = sent.get("id") if isinstance(sent, dict) else None
    return found[:200] if isinstance(found, str) else None
