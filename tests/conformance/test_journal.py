"""What every journal keeps."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from ccm_orchestrator.domain.agent import AgentState, AgentView, Dialog, Evidence, Signal, Source
from ccm_orchestrator.domain.dialogue import Decision, MessageStatus, PermissionRequest, PermissionStatus, Verdict
from ccm_orchestrator.domain.result import Outcome
from ccm_orchestrator.domain.run import Mode, ProcessRef, Run, RunState, WindowRef
from ccm_orchestrator.errors import MessageNotFound, PermissionNotFound, RunNotFound, StaleTerm, WrongStatus
from ccm_orchestrator.fakes.clock import START, FakeClock
from ccm_orchestrator.ports.journal import Journal, RunQuery
from ccm_orchestrator.ports.tasks import ClaimRequest

RUN = Run(
    run_id="1f3c9a2b" + "0" * 24,
    task_id="task-one",
    fence=1,
    attempt=1,
    term=1,
    state=RunState.INTENDED,
    project="demo",
    cwd=Path("/demo/ünï"),
    profile="executor",
    driver="claude",
    mode=Mode.PRINT,
    session_id="session",
    resumed=False,
    created_at=START,
)
ASKED = PermissionRequest(
    request_id="perm1111",
    run_id=RUN.run_id,
    task_id=RUN.task_id,
    dialog="permission",
    tool_name="Bash",
    tool_input={"command": "make", "nested": {"list": [1, None, "é"]}},
    suggestions=({"type": "addRules"},),
    status=PermissionStatus.OPEN,
    created_at=START,
    expires_at=START + timedelta(seconds=60),
)
VERDICT = Verdict(Decision.ALLOW, "anna", "fine", {"command": "make test"})


async def add_run(journal: Journal, **changes: object) -> Run:
    run = replace(RUN, **changes)  # type: ignore[arg-type]
    await journal.save_run(run, await journal.begin_term("boot"))
    return run


class TestTerms:
    async def test_each_start_raises_the_term(self, journal: Journal) -> None:
        assert [await journal.begin_term("boot") for _ in range(3)] == [1, 2, 3]

    async def test_a_superseded_orchestrator_cannot_write_runs(self, journal: Journal) -> None:
        old = await journal.begin_term("boot")
        new = await journal.begin_term("boot")
        with pytest.raises(StaleTerm, match="term 2 has begun"):
            await journal.save_run(RUN, old)
        assert await journal.runs(RunQuery()) == []
        await journal.save_run(RUN, new)


class TestClaims:
    async def test_a_claim_is_open_until_it_is_settled(self, journal: Journal) -> None:
        one, two = (ClaimRequest(name, "here", "boot", 3, 60.0) for name in ("r1", "r2"))
        for request in (one, two, one):
            await journal.remember_claim(request)
        assert sorted(await journal.open_claims(), key=lambda request: request.request_id) == [one, two]
        await journal.settle_claim("r1")
        await journal.settle_claim("r1")
        assert list(await journal.open_claims()) == [two]


class TestRuns:
    async def test_a_run_comes_back_as_it_was_saved_last(self, journal: Journal) -> None:
        await add_run(journal)
        ended = await add_run(
            journal,
            state=RunState.ENDED,
            started_at=START + timedelta(seconds=1),
            ended_at=START + timedelta(microseconds=1),
            window=WindowRef(42, 1700000000, "@3"),
            agent=ProcessRef(43, "123456"),
            base_commit="abc",
            outcome=Outcome.SUCCEEDED,
            ending="it is mended 🙂",
        )
        assert await journal.run(RUN.run_id) == ended
        assert list(await journal.runs(RunQuery())) == [ended]

    @pytest.mark.parametrize("name", [RUN.run_id, RUN.name, RUN.task_id, "1f3c", "ccm-1f3c"])
    async def test_a_run_is_found_by_any_name_that_only_it_has(self, journal: Journal, name: str) -> None:
        run = await add_run(journal)
        await add_run(journal, run_id="2" * 32, task_id="task-two")
        assert await journal.run(name) == run

    @pytest.mark.parametrize("name", ["", "ccm-", "3", "task", "%", "1f3c9a2b1"])
    async def test_a_run_is_not_found_by_anything_else(self, journal: Journal, name: str) -> None:
        await add_run(journal)
        with pytest.raises(RunNotFound):
            await journal.run(name)

    async def test_an_ambiguous_prefix_is_refused(self, journal: Journal) -> None:
        await add_run(journal)
        await add_run(journal, run_id="1f" + "3" * 30)
        with pytest.raises(RunNotFound, match="More than one"):
            await journal.run("1f")

    async def test_a_task_names_its_newest_run(self, journal: Journal) -> None:
        await add_run(journal)
        newest = await add_run(journal, run_id="2" * 32, fence=2)
        assert await journal.run("task-one") == newest

    async def test_runs_are_listed_newest_first(self, journal: Journal) -> None:
        runs = [await add_run(journal, run_id=digit * 32, task_id=f"task-{digit}") for digit in "123"]
        await add_run(journal, run_id="2" * 32, task_id="task-2", state=RunState.ENDED)
        assert [run.run_id[0] for run in await journal.runs(RunQuery())] == ["3", "2", "1"]
        assert list(await journal.runs(RunQuery(open_only=True))) == [runs[2], runs[0]]
        assert list(await journal.runs(RunQuery(task_id="task-1"))) == [runs[0]]
        assert list(await journal.runs(RunQuery(limit=1))) == [runs[2]]

    async def test_runs_are_filtered_and_read_on_behind_one_of_them(self, journal: Journal) -> None:
        runs = [await add_run(journal, run_id=digit * 32, task_id=f"task-{digit}") for digit in "12"]
        runs.append(await add_run(journal, run_id="3" * 32, task_id="task-3", project="shop", profile="brain"))
        assert list(await journal.runs(RunQuery(project="shop"))) == [runs[2]]
        assert list(await journal.runs(RunQuery(profile="brain", project="demo"))) == []
        assert list(await journal.runs(RunQuery(before=runs[1].run_id))) == [runs[0]]
        assert list(await journal.runs(RunQuery(before="4" * 32))) == []

    async def test_runs_of_a_conversation_are_found_by_it(self, journal: Journal) -> None:
        first = await add_run(journal, run_id="1" * 32, session_id="5bb4-8bdc")
        await add_run(journal, run_id="2" * 32, session_id="5bb4-8bdd")
        await add_run(journal, run_id="3" * 32, session_id=None)
        resumed = await add_run(journal, run_id="4" * 32, session_id="5bb4-8bdc", resumed=True)
        assert list(await journal.runs(RunQuery(session_id="5bb4-8bdc"))) == [resumed, first]
        assert list(await journal.runs(RunQuery(session_id="5bb4"))) == []

    async def test_runs_of_one_user(self, journal: Journal) -> None:
        for number, owner in enumerate(("anna", "bela", None, "anna")):
            await add_run(journal, run_id=f"{number}" * 32, owner=owner)
        assert [run.run_id[0] for run in await journal.runs(RunQuery(owner="anna"))] == ["3", "0"]
        assert [run.run_id[0] for run in await journal.runs(RunQuery(owner="anna", limit=1))] == ["3"]
        assert len(await journal.runs(RunQuery())) == 4


class TestIntents:
    async def test_runs_are_named_while_a_message_is_on_its_way_or_a_request_is_open(self, journal: Journal) -> None:
        assert await journal.runs_with_intents() == frozenset()
        message = await journal.add_message("run1", "hello")
        await journal.add_permission(replace(ASKED, run_id="run2"))
        assert await journal.runs_with_intents() == {"run1", "run2"}
        await journal.set_message(message.message_id, MessageStatus.ACCEPTED)
        await journal.close_permission(ASKED.request_id, PermissionStatus.EXPIRED)
        assert await journal.runs_with_intents() == {"run1"}
        await journal.set_message(message.message_id, MessageStatus.ANSWERED)
        assert await journal.runs_with_intents() == frozenset()


class TestReopening:
    async def test_a_decision_that_could_not_be_carried_out_is_taken_back(self, journal: Journal) -> None:
        await journal.add_permission(ASKED)
        await journal.decide_permission(ASKED.request_id, VERDICT)
        await journal.reopen_permission(ASKED.request_id)
        assert await journal.permission(ASKED.request_id) == ASKED
        await journal.decide_permission(ASKED.request_id, VERDICT)

    async def test_what_is_closed_stays_closed(self, journal: Journal) -> None:
        await journal.add_permission(ASKED)
        await journal.close_permission(ASKED.request_id, PermissionStatus.EXPIRED)
        await journal.reopen_permission(ASKED.request_id)
        await journal.reopen_permission("no-such")
        assert (await journal.permission(ASKED.request_id)).status is PermissionStatus.EXPIRED


class TestOverruling:
    async def test_a_decision_that_came_too_late_is_replaced(self, journal: Journal) -> None:
        await journal.add_permission(ASKED)
        assert not await journal.overrule_permission(ASKED.request_id)
        decided = await journal.decide_permission(ASKED.request_id, VERDICT)
        assert await journal.overrule_permission(ASKED.request_id)
        wanted = replace(decided, status=PermissionStatus.ANSWERED_ELSEWHERE, verdict=None)
        assert await journal.permission(ASKED.request_id) == wanted
        assert not await journal.overrule_permission(ASKED.request_id)
        assert not await journal.overrule_permission("no-such")


class TestViews:
    async def test_the_newest_view_of_each_run_is_kept(self, journal: Journal) -> None:
        evidence = Evidence(Source.HOOK, Signal.ASKED, START, "permission", {"tool_use_id": "t1", "n": 1}, True)
        old = AgentView(AgentState.UNKNOWN, START, None, START)
        new = AgentView(
            AgentState.WAITING, START, evidence, START, Dialog.PERMISSION, frozenset({"t1", "t2"}), background_work=True
        )
        await journal.save_views({"run1": old})
        await journal.save_views({"run1": new, "run2": old})
        assert await journal.views(["run1", "run2", "run3"]) == {"run1": new, "run2": old}


class TestMessages:
    async def test_a_message_goes_through_its_statuses(self, journal: Journal, clock: FakeClock) -> None:
        first = await journal.add_message("run1", "Hello 🙂\n\x00")
        assert (first.status, first.text, first.created_at) == (MessageStatus.QUEUED, "Hello 🙂\n\x00", START)
        clock.advance(5)
        second = await journal.add_message("run1", "More")
        await journal.add_message("run2", "Elsewhere")
        gone = await journal.set_message(first.message_id, MessageStatus.UNDELIVERED, "the run ended")
        assert gone == replace(first, status=MessageStatus.UNDELIVERED, detail="the run ended", updated_at=clock.now())
        assert list(await journal.messages("run1")) == [gone, second]

    async def test_a_message_with_an_id_of_the_caller_s_is_kept_once_and_with_its_answer(
        self, journal: Journal
    ) -> None:
        sent = await journal.add_message("run1", "Hello", "chosen", MessageStatus.DELIVERED)
        assert (sent.message_id, sent.status, sent.answer) == ("chosen", MessageStatus.DELIVERED, "")
        answered = await journal.set_message("chosen", MessageStatus.ANSWERED, answer="Hello to you.")
        assert await journal.add_message("run1", "Hello", "chosen") == answered
        assert [message.answer for message in await journal.messages("run1")] == ["Hello to you."]

    async def test_an_unknown_message_is_not_found(self, journal: Journal) -> None:
        with pytest.raises(MessageNotFound, match="'no-such'"):
            await journal.set_message("no-such", MessageStatus.ACCEPTED)


class TestPermissions:
    async def test_a_request_is_kept_once_and_found_by_prefix(self, journal: Journal) -> None:
        await journal.add_permission(ASKED)
        await journal.add_permission(replace(ASKED, tool_name="Other"))
        assert await journal.permission("perm1111") == await journal.permission("perm") == ASKED
        with pytest.raises(PermissionNotFound, match="'other'"):
            await journal.permission("other")
        await journal.add_permission(replace(ASKED, request_id="perm2222"))
        with pytest.raises(PermissionNotFound, match="More than one"):
            await journal.permission("perm")

    async def test_requests_are_listed_oldest_first(self, journal: Journal) -> None:
        requests = [replace(ASKED, request_id=f"perm{n}", run_id=f"run{n % 2}") for n in range(4)]
        for request in requests:
            await journal.add_permission(request)
        await journal.decide_permission("perm0", VERDICT)
        assert list(await journal.permissions()) == requests[1:]
        assert list(await journal.permissions("run0")) == [requests[2]]
        assert [request.request_id for request in await journal.permissions("run0", open_only=False)] == [
            "perm0",
            "perm2",
        ]

    async def test_those_since_a_time_come_newest_first(self, journal: Journal) -> None:
        asked_s = {"perm0": 0, "perm1": 5, "perm2": 3, "perm3": 9, "perm4": 9}
        requests = [
            replace(ASKED, request_id=name, created_at=START + timedelta(seconds=s)) for name, s in asked_s.items()
        ]
        for request in [*requests, replace(ASKED, request_id="perm9", run_id="other")]:
            await journal.add_permission(request)
        await journal.decide_permission("perm4", VERDICT)

        async def names(since_s: float | None) -> list[str]:
            since = None if since_s is None else START + timedelta(seconds=since_s)
            return [request.request_id for request in await journal.permissions_since(RUN.run_id, since)]

        assert await names(None) == ["perm4", "perm3", "perm2", "perm1", "perm0"]
        assert await names(9) == ["perm4", "perm3"]
        assert await names(4) == ["perm4", "perm3"]
        assert await names(10) == []
        assert list(await journal.permissions_since("nobody", None)) == []

    async def test_the_first_answer_wins(self, journal: Journal, clock: FakeClock) -> None:
        await journal.add_permission(ASKED)
        clock.advance(3)
        decided = await journal.decide_permission("perm", VERDICT)
        assert decided == replace(ASKED, status=PermissionStatus.DECIDED, verdict=VERDICT, decided_at=clock.now())
        with pytest.raises(WrongStatus, match="already decided by anna"):
            await journal.decide_permission("perm1111", Verdict(Decision.DENY, "otto"))
        assert await journal.permission("perm1111") == decided

    async def test_an_unknown_request_cannot_be_decided(self, journal: Journal) -> None:
        with pytest.raises(PermissionNotFound):
            await journal.decide_permission("no-such", VERDICT)

    async def test_closing_leaves_an_answer_as_it_is(self, journal: Journal) -> None:
        for request_id in ("perm1", "perm2"):
            await journal.add_permission(replace(ASKED, request_id=request_id))
        decided = await journal.decide_permission("perm1", VERDICT)
        for request_id in ("perm1", "perm2", "no-such"):
            await journal.close_permission(request_id, PermissionStatus.EXPIRED)
        assert await journal.permission("perm1") == decided
        assert (await journal.permission("perm2")).status is PermissionStatus.EXPIRED
        assert await journal.permissions() == []
