"""Permissions: requests that an agent's hook holds open, and the answers that people give.

The agent's terminal shows its own dialog all the while, and the first answer wins. A hook that hangs up was answered
"No" in the terminal; one that was answered "Yes" there stays open until the run is seen to go on, which closes the
request. A request that outlived the daemon that held it is answered by a key in the window.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from ccm_orchestrator.domain.agent import Dialog
from ccm_orchestrator.domain.asking import ID_PREFIX, request_id, subject
from ccm_orchestrator.domain.dialogue import Decision, PermissionRequest, PermissionStatus, Verdict
from ccm_orchestrator.domain.events import BusEvent, EventKind
from ccm_orchestrator.domain.profiles import Profile
from ccm_orchestrator.domain.run import Run
from ccm_orchestrator.engine.bus import Bus
from ccm_orchestrator.engine.window_answers import WindowAnswers
from ccm_orchestrator.errors import InputError, WrongStatus
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
        clock: Clock,
        poke: Callable[[], None],
    ) -> None:
        self._journal = journal
        self._bus = bus
        self._drivers = drivers
        self._profiles = profiles
        self._window_answers = window_answers
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
        self._held[request.request_id] += 1  # before anybody can see the request, and decide it
        try:
            if is_new:
                await self._record(request)
            settled = await self._settled(request, hung_up)
        finally:
            self._held[request.request_id] -= 1
        return self._answer(run, settled)

    async def decide(self, ref: str, verdict: Verdict, answers: Mapping[str, str] | None = None) -> PermissionRequest:
        """`ref` is a request, or an agent that asks exactly one thing; `answers` are those of a question.

        Raises: PermissionNotFound, RunNotFound, WrongStatus, InputError, TerminalError.
        """
        request = await self._find(ref)
        complete = _completed(request, verdict, answers)
        if request.status is not PermissionStatus.OPEN:
            raise WrongStatus(f"The permission request {request.request_id} is {request.status.value} already.")
        if self._held[request.request_id]:
            decided = await self._journal.decide_permission(request.request_id, complete)
        else:
            run = await self._journal.run(request.run_id)
            decided = await self._window_answers.decide(run, request, complete)
        await self._announce(decided)
        self._poke()
        return decided

    async def expire_due(self) -> None:
        """Denies what nobody answered in time and no hook holds any more (held ones expire by themselves)."""
        for request in await self._journal.permissions(None, open_only=True):
            if self._expired(request) and not self._held[request.request_id]:
                run = await self._journal.run(request.run_id)
                await self._window_answers.dismiss(run, request)
                await self._close(request, PermissionStatus.EXPIRED)

    async def _request(self, run: Run, payload: Mapping[str, object]) -> tuple[PermissionRequest, bool]:
        """The open request that asks the same, or a new one."""
        asked = self._read(run, payload)
        known = {request.request_id: request for request in await self._journal.permissions(run.run_id, False)}
        repetition = 0
        while (found := known.get(request_id(run.run_id, payload, repetition))) is not None:
            if found.status is PermissionStatus.OPEN:
                return found, False
            repetition += 1
        return self._new(run, asked, request_id(run.run_id, payload, repetition)), True

    async def _record(self, request: PermissionRequest) -> None:
        await self._journal.add_permission(request)
        if self._held[request.request_id] == 1:  # else it is asked twice at the same instant, and announced once
            await self._announce(request)
            self._poke()

    def _read(self, run: Run, payload: Mapping[str, object]) -> AskedPermission:
        try:
            return self._drivers[run.driver].read_permission(payload)
        except ValueError as error:
            raise InputError(f"The body is not a permission request of {run.driver}: {error}") from error

    def _new(self, run: Run, asked: AskedPermission, request_id: str) -> PermissionRequest:
        now = self._clock.now()
        profile = self._profiles.get(run.profile)
        timeout_s = profile.permission_timeout_s if profile else None
        return PermissionRequest(
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
        )

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
        if settled.status is PermissionStatus.EXPIRED:
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
        await self._journal.close_permission(request.request_id, status)
        await self._announce(await self._journal.permission(request.request_id))

    async def _announce(self, request: PermissionRequest) -> None:
        is_open = request.status is PermissionStatus.OPEN
        data = {
            "request_id": request.request_id,
            "status": request.status.value,
            "dialog": request.dialog,
            "tool_name": request.tool_name,
            "subject": subject(request.tool_input),
        }
        if request.verdict:
            data |= {"decision": request.verdict.decision.value, "decided_by": request.verdict.decided_by}
        await self._bus.publish(
            BusEvent(
                EventKind.PERMISSION_REQUESTED if is_open else EventKind.PERMISSION_DECIDED,
                self._clock.now(),
                request.task_id,
                request.run_id,
                data,
            )
        )


def _completed(request: PermissionRequest, verdict: Verdict, answers: Mapping[str, str] | None) -> Verdict:
    """The verdict with a question's answers in its input: an agent that is allowed to ask still waits for them."""
    if answers is not None:
        if request.dialog != Dialog.QUESTION or verdict.decision is not Decision.ALLOW:
            raise InputError("Answers belong to an allowed question; this request needs only `allow` or `deny`.")
        return replace(verdict, updated_input={**request.tool_input, "answers": dict(answers)})
    if request.dialog == Dialog.QUESTION and verdict.decision is Decision.ALLOW and verdict.updated_input is None:
        raise InputError("The agent asks a question: give `answers` (question → answer), or deny it.")
    return verdict
