"""Permissions: requests that an agent's hook holds open, and the answers that people give.

The agent's terminal shows its own dialog all the while, and the first answer wins. A hook that hangs up was answered
"No" in the terminal; one that was answered "Yes" there stays open until the run is seen to go on, which closes the
request. A request that outlived the daemon that held it is answered by a key in the window. What a rule answers, no
person is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from ccm_orchestrator.domain.agent import Dialog
from ccm_orchestrator.domain.answers import completed
from ccm_orchestrator.domain.asking import ID_PREFIX, request_id
from ccm_orchestrator.domain.dialogue import (
    AskingContext,
    Decision,
    Expiry,
    PermissionRequest,
    PermissionStatus,
    Verdict,
)
from ccm_orchestrator.domain.events import EventKind
from ccm_orchestrator.domain.profiles import Profile
from ccm_orchestrator.domain.run import Run
from ccm_orchestrator.engine.approvals import SAME_AGAIN, Approvals, RuleWish, suggested
from ccm_orchestrator.engine.bus import Bus
from ccm_orchestrator.engine.permission_news import close_request, overrule, permission_event, told
from ccm_orchestrator.engine.window_answers import WindowAnswers
from ccm_orchestrator.errors import InputError, PermissionNotFound, TerminalError, WrongStatus
from ccm_orchestrator.ports.agents import AgentDriver, AskedPermission
from ccm_orchestrator.ports.journal import Journal
from ccm_orchestrator.ports.world import Clock

RECHECK_S = 5.0
"""How long a held request waits on the bus before it looks at the clock and the journal again."""


class PermissionDesk:
    """Holds requests until somebody decides, and takes decisions."""

    def __init__(
        self,
        journal: Journal,
        bus: Bus,
        drivers: Mapping[str, AgentDriver],
        profiles: Mapping[str, Profile],
        window_answers: WindowAnswers,
        approvals: Approvals,
        clock: Clock,
        poke: Callable[[], None],
    ) -> None:
        self._journal = journal
        self._bus = bus
        self._drivers = drivers
        self._profiles = profiles
        self._window_answers = window_answers
        self._approvals = approvals
        self._clock = clock
        self._poke = poke
        self._held: Counter[str] = Counter()
        """Hooks that wait now, by request id; without one, an answer has to be typed."""

    async def hold(
        self, run: Run, payload: Mapping[str, object], hung_up: asyncio.Future[Any]
    ) -> Mapping[str, object] | None:
        """The body that answers the hook; None when the agent was answered elsewhere.

        Cancelling it leaves the request open: the daemon stops, the agent goes on waiting.
        Raises: InputError when the payload asks nothing.
        """
        request, is_new = await self._request(run, payload)
        if is_new and (verdict := await self._approvals.verdict(run, request)) is not None:
            now = self._clock.now()
            request = replace(request, status=PermissionStatus.DECIDED, verdict=verdict, decided_at=now)
        self._held[request.request_id] += 1  # before anybody can see the request, and decide it
        try:
            if is_new:
                await self._record(request)
            settled = await self._settled(request, hung_up)
            if hung_up.done() and self._held[request.request_id] == 1 and _allows(settled):
                await overrule(self._journal, self._bus, self._clock, settled)  # the terminal's "No" was first
                return None
        finally:
            self._held[request.request_id] -= 1
            self._held += Counter()  # keeps what is above nought
        return self._answer(run, settled)

    async def decide(
        self,
        ref: str,
        verdict: Verdict,
        answers: Mapping[str, str] | None = None,
        wish: RuleWish = SAME_AGAIN,
    ) -> PermissionRequest:
        """`ref` is a request, or an agent that asks exactly one thing; `answers` are those of a question.

        A verdict that reaches further than once makes a rule, as `wish` says, which answers what else is open, too.
        Raises: PermissionNotFound, RunNotFound, WrongStatus, InputError, TerminalError.
        """
        request = await self._find(ref)
        run = await self._journal.run(request.run_id)
        complete = completed(request, verdict, answers)
        rule = self._approvals.of_answer(run, request, complete, wish)
        if rule is not None:
            complete = replace(complete, rule_ids=(rule.rule_id,))
        if request.status is not PermissionStatus.OPEN:
            raise WrongStatus(f"The permission request {request.request_id} is {request.status.value} already.")
        decided = await self._carry_out(run, request, complete)
        if rule is not None:
            await self._approvals.add(rule)
            await self.apply_rules()
        return decided

    async def apply_rules(self) -> None:
        """Answers what is open, and what a rule answers that was not there when it was asked."""
        for request in await self._journal.permissions(None, open_only=True):
            run = await self._journal.run(request.run_id)
            verdict = await self._approvals.verdict(run, request)
            if verdict is not None:
                with contextlib.suppress(WrongStatus, TerminalError):  # somebody was faster, or only a person can
                    await self._carry_out(run, request, verdict)

    async def forget_rules(self, is_over: Callable[[str], Awaitable[bool]]) -> None:
        """What was answered for the rest of a task that `is_over`."""
        for rule in await self._approvals.rules():
            if rule.task_id is not None and await is_over(rule.task_id):
                with contextlib.suppress(WrongStatus):  # it stands in the settings
                    await self._approvals.remove(rule)

    async def expire_due(self) -> None:
        """For what no hook holds any more: held requests expire by themselves."""
        for request in await self._journal.permissions(None, open_only=True):
            if self._expired(request) and not self._held[request.request_id]:
                if request.on_expiry is Expiry.DENY:
                    await self._window_answers.dismiss(await self._journal.run(request.run_id), request)
                await self._close(request, PermissionStatus.EXPIRED)

    async def _request(self, run: Run, payload: Mapping[str, object]) -> tuple[PermissionRequest, bool]:
        """The open request that asks the same, or a new one."""
        asked = self._read(run, payload)
        for repetition in itertools.count():
            asked_by = payload.get("agent_id")
            wanted = request_id(run.run_id, asked_by, asked.tool_name, asked.tool_input, repetition)
            try:
                found = await self._journal.permission(wanted)
            except PermissionNotFound:
                return self._new(run, asked, wanted), True
            if found.status is PermissionStatus.OPEN:
                return found, False
        raise AssertionError("it is counted for ever")

    async def _carry_out(self, run: Run, request: PermissionRequest, verdict: Verdict) -> PermissionRequest:
        """Raises: WrongStatus, TerminalError."""
        if self._held[request.request_id]:
            now = self._clock.now()
            decided = await self._journal.decide_permission(request.request_id, verdict, lambda made: told(made, now))
            self._bus.wake({EventKind.PERMISSION_DECIDED})
        else:
            decided = await self._window_answers.decide(run, request, verdict)
            await self._bus.publish(permission_event(decided, self._clock.now()))  # now that the key is pressed
        self._poke()
        return decided

    async def _record(self, request: PermissionRequest) -> None:
        """Once, though it be asked twice at the same instant."""
        beside = told(request, self._clock.now())
        if await self._journal.add_permission(request, beside):
            self._bus.wake({event.kind for event in beside.events})
            self._poke()

    def _read(self, run: Run, payload: Mapping[str, object]) -> AskedPermission:
        try:
            return self._drivers[run.driver].read_permission(payload)
        except ValueError as error:
            raise InputError(f"The body is not a permission request of {run.driver}: {error}") from error

    def _new(self, run: Run, asked: AskedPermission, request_id: str) -> PermissionRequest:
        now = self._clock.now()
        profile = self._profiles.get(run.profile)
        timeout_s, on_expiry = expiry_of(profile or Profile(run.profile), asked.dialog)
        request = PermissionRequest(
            request_id=request_id,
            run_id=run.run_id,
            task_id=run.task_id,
            dialog=asked.dialog.value,
            tool_name=asked.tool_name,
            tool_input=asked.tool_input,
            suggestions=asked.suggestions,
            status=PermissionStatus.OPEN,
            created_at=now,
            expires_at=None if timeout_s is None else now + timedelta(seconds=timeout_s),
            on_expiry=on_expiry,
            context=AskingContext(
                run.name, run.project, run.profile, asked.directory, asked.permission_mode, asked.subagent
            ),
        )
        return replace(request, suggested_rule=suggested(run, request))

    async def _settled(self, request: PermissionRequest, hung_up: asyncio.Future[Any]) -> PermissionRequest:
        """The request as soon as it is not open any more."""
        while True:
            news: asyncio.Future[Any] = asyncio.ensure_future(self._bus.wait(self._patience_s(request)))
            await asyncio.sleep(0)  # registered before the journal is read: no decision can fall between the two
            try:
                current = await self._journal.permission(request.request_id)
                if current.status is not PermissionStatus.OPEN:
                    return current
                if self._expired(current):
                    await self._close(current, PermissionStatus.EXPIRED)
                elif hung_up.done():
                    await self._hung_up(current)
                    return replace(current, status=PermissionStatus.ANSWERED_ELSEWHERE)
                else:
                    await asyncio.wait({news, hung_up}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                news.cancel()

    async def _hung_up(self, request: PermissionRequest) -> None:
        if self._held[request.request_id] == 1:  # else the agent asked again on another connection
            await self._close(request, PermissionStatus.ANSWERED_ELSEWHERE)

    def _patience_s(self, request: PermissionRequest) -> float:
        if request.expires_at is None:
            return RECHECK_S
        left_s = (request.expires_at - self._clock.now()).total_seconds()
        return max(0.0, min(RECHECK_S, left_s))

    def _expired(self, request: PermissionRequest) -> bool:
        return request.expires_at is not None and self._clock.now() >= request.expires_at

    def _answer(self, run: Run, settled: PermissionRequest) -> Mapping[str, object] | None:
        verdict = settled.verdict
        if settled.status is PermissionStatus.EXPIRED and settled.on_expiry is Expiry.DENY:
            verdict = Verdict(Decision.DENY, "timeout", "Nobody answered this request in time.")
        if verdict is None:
            return None
        return self._drivers[run.driver].permission_answer(settled, verdict)

    async def _find(self, ref: str) -> PermissionRequest:
        if ref.startswith(ID_PREFIX):
            return await self._journal.permission(ref)
        run = await self._journal.run(ref)
        asked = await self._journal.permissions(run.run_id, open_only=True)
        if not asked:
            raise WrongStatus(f"{run.name} asks nothing at the moment.", run_id=run.run_id)
        if len(asked) > 1:
            ids = ", ".join(request.request_id for request in asked)
            raise WrongStatus(f"{run.name} asks {len(asked)} things at once; name the one you answer: {ids}.")
        return asked[0]

    async def _close(self, request: PermissionRequest, status: PermissionStatus) -> None:
        await close_request(self._journal, self._bus, self._clock, request, status)


def _allows(request: PermissionRequest) -> bool:
    return request.verdict is not None and request.verdict.decision is Decision.ALLOW


def expiry_of(profile: Profile, dialog: Dialog) -> tuple[float | None, Expiry]:
    """After how many seconds a request expires (None: never), and what then. A form is not shown while it is held."""
    if dialog is Dialog.ELICITATION:
        return profile.elicitation_hold_s, Expiry.TERMINAL
    return profile.permission_timeout_s, profile.permission_expiry
