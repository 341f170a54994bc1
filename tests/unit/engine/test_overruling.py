"""Answers that came after one in the window are set right by what the agent then does."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ccm_orchestrator.domain.asking import call_digest
from ccm_orchestrator.domain.dialogue import Decision, PermissionStatus, Verdict
from ccm_orchestrator.domain.task import TaskStatus
from tests.unit.engine.house import House
from tests.unit.engine.test_run import a_permission

DATE, LS = {"command": "date"}, {"command": "ls"}
NO = Verdict(Decision.DENY, "key:anna", "Not on a Friday.")
CHANGED = Verdict(Decision.ALLOW, "key:anna", updated_input=LS)
NOBODY_RAN_IT: dict[str, object] = {}


@pytest.mark.parametrize(
    ("verdict", "begun", "ran", "end", "asked_after_s", "stands"),
    [
        (NO, DATE, DATE, "tool_finished", 1, False),
        (NO, DATE, DATE, "tool_failed", 1, False),
        (NO, None, DATE, "tool_finished", 1, False),
        (CHANGED, DATE, DATE, "tool_finished", 1, False),
        (NO, DATE, NOBODY_RAN_IT, "tool_failed", 1, True),
        (NO, LS, LS, "tool_finished", 1, True),
        (NO, DATE, DATE, "tool_finished", -1, True),
        (CHANGED, DATE, LS, "tool_finished", 1, True),
        (Verdict(Decision.ALLOW, "key:anna"), DATE, DATE, "tool_finished", 1, True),
    ],
    ids=[
        "denied and ran",
        "denied and ran and failed",
        "denied and ran, begun before the daemon",
        "changed and ran as it was",
        "denied and refused",
        "denied, and another one ran",
        "denied, and began anew",
        "changed and ran so",
        "allowed and ran",
    ],
)
async def test_an_answer_that_came_after_a_yes_in_the_window_is_set_right(
    home: House,
    verdict: Verdict,
    begun: dict[str, object] | None,
    ran: dict[str, object],
    end: str,
    asked_after_s: int,
    stands: bool,
) -> None:
    await home.start()
    run = await home.running()
    if begun is not None:
        home.says(run, "tool_started", tool_use_id="t1", call=call_digest("Bash", begun))
    request = a_permission(run, home.clock.now() + timedelta(seconds=asked_after_s))
    await home.journal.add_permission(request)
    await home.journal.decide_permission(request.request_id, verdict)
    home.says(run, end, tool_use_id="t1", call=call_digest("Bash", ran) if ran else "")
    home.says(run, "turn_ended", "Done.")
    await home.until_status(run.task_id, TaskStatus.SUCCEEDED)
    (known,) = await home.journal.permissions(run.run_id, open_only=False)
    told = [stored.event.data for stored in await home.events.read(0) if "overruled" in stored.event.data]
    if stands:
        assert (known.verdict, told) == (verdict, [])
    else:
        assert (known.status, known.verdict) == (PermissionStatus.ANSWERED_ELSEWHERE, None)
        (event,) = told
        wanted = {"status": "answered_elsewhere", "overruled": verdict.decision.value, "overruled_by": "key:anna"}
        assert wanted.items() <= event.items() and "decision" not in event
