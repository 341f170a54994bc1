"""What the client's methods do, on the real API."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ccm_orchestrator import errors
from ccm_orchestrator.client import AsyncClient, Client, DaemonUnreachable, WaitTimeout, awaited, blocking
from ccm_orchestrator.client.calls import tasks
from ccm_orchestrator.client.faces import AwaitedGroup, BlockingGroup
from ccm_orchestrator.domain.caller import Scope
from ccm_orchestrator.domain.result import Outcome, TaskResult
from ccm_orchestrator.domain.task import TaskStatus
from tests.api_house import ASK, House, connected


async def test_a_task_is_added_shown_listed_and_stopped(house: House, ccm: AsyncClient) -> None:
    added = await ccm.tasks.add("blog", "Fix the test", priority=7, tags=["ci"])
    assert (added.status, added.priority, added.tags) == (TaskStatus.QUEUED, 7, ("ci",))
    assert await ccm.tasks.show(added.task_id[:8]) == added
    assert [task.task_id async for task in ccm.tasks.list(tag="ci", status=[TaskStatus.QUEUED])] == [added.task_id]
    stopped = await ccm.tasks.stop(added.task_id)
    assert stopped.status is TaskStatus.CANCELLED and stopped.settled
    assert (await ccm.tasks.retry(added.task_id)).status is TaskStatus.QUEUED
    kinds = [event.kind async for event in ccm.tasks.events(added.task_id)]
    assert kinds == ["task.created", "task.cancelled", "task.queued"]


async def test_lists_are_read_to_their_end(house: House, ccm: AsyncClient) -> None:
    made = [(await ccm.tasks.add("blog", f"Task {n}")).task_id for n in range(5)]
    assert [task.task_id async for task in ccm.tasks.list(limit=2)] == made[::-1]
    page = await ccm.tasks.page(limit=2)
    assert page.next is not None and [task.task_id for task in await ccm.ask(page.next)] == made[2:0:-1]
    assert [event.seq async for event in ccm.events.list(limit=2)] == [1, 2, 3, 4, 5]


async def test_a_key_that_was_given_stands_for_one_task(house: House, ccm: AsyncClient) -> None:
    first = await ccm.tasks.add("blog", "x", idempotency_key="k")
    assert (await ccm.tasks.add("blog", "x", idempotency_key="k")).task_id == first.task_id
    assert (await ccm.tasks.add("blog", "x")).task_id != first.task_id


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (tasks.show("ffffffff"), errors.TaskNotFound, "There is no task 'ffffffff'"),
        (tasks.add("nowhere", "x"), errors.UnknownProject, "There is no project named 'nowhere'"),
        (tasks.add("blog", " "), errors.InvalidTask, "The prompt is empty"),
        (tasks.add("blog", "\ud800"), errors.InvalidTask, "text in UTF-8"),
    ],
)
async def test_a_refusal_is_the_error_that_the_daemon_raised(
    ccm: AsyncClient, call: Any, kind: type[errors.OrchestratorError], words: str
) -> None:
    with pytest.raises(kind, match=words) as caught:
        await ccm.ask(call)
    assert vars(caught.value)["status"] in (400, 404, 422)


async def test_facts_of_a_refusal_are_attributes(ccm: AsyncClient) -> None:
    for n in range(5):
        await ccm.tasks.add("blog", f"{n}")
    with pytest.raises(errors.QueueFull) as caught:
        await ccm.tasks.add("blog", "one more")
    assert vars(caught.value) == {"queued": 5, "limit": 5, "status": 429}


@pytest.mark.parametrize("token", [None, "wrong"])
async def test_nobody_is_let_in_without_the_token(house: House, token: str | None) -> None:
    async with connected(house, token) as stranger:
        with pytest.raises(errors.Unauthenticated):
            await stranger.status()


@pytest.mark.parametrize("ref", ["", ".", "..", "a/b"])
async def test_what_cannot_stand_in_a_path_is_refused_here(ccm: AsyncClient, ref: str) -> None:
    with pytest.raises(errors.InputError, match="Expected an id or a name"):
        await ccm.tasks.show(ref)


async def test_an_agent_is_looked_at_talked_to_and_answered(house: House, ccm: AsyncClient) -> None:
    run = await house.agent()
    (agent,) = [agent async for agent in ccm.agents.list()]
    assert (agent.run_id, agent.agent, agent.task_id) == (run.run_id, run.name, run.task_id)
    explained = (await ccm.agents.explain(run.name)).explanation
    assert explained is not None and explained.sentence
    assert (await ccm.agents.screen(run.name)).run_id == run.run_id
    sent = await ccm.agents.send(run.name, "And the docs?\n")
    assert (await ccm.agents.messages(run.name)).items == (sent,)
    assert await ccm.agents.message(run.name, sent.message_id) == sent
    asked = house.ask()
    await house.asked()
    (request,) = await ccm.permissions.page(run.name)
    assert request.tool_input == ASK["tool_input"]
    decided = await ccm.permissions.deny(request.request_id, reason="Not now.")
    assert decided.verdict is not None and decided.verdict.reason == "Not now."
    assert (await asked).json()["decision"] == "deny"
    with pytest.raises(errors.WrongStatus):
        await ccm.permissions.allow(request.request_id)
    assert [request async for request in ccm.permissions.list()] == []
    assert [known.request_id async for known in ccm.permissions.list(closed=True)] == [request.request_id]


async def test_projects_systems_and_profiles(house: House, ccm: AsyncClient, tmp_path: Path) -> None:
    added = await ccm.projects.add(tmp_path, name="new")
    assert added.path == tmp_path and added in await ccm.projects.list()
    await ccm.projects.remove("new")
    assert [project.name for project in await ccm.projects.list()] == ["blog", "shop"]
    assert "executor" in [profile.name for profile in await ccm.profiles()]
    assert (await ccm.status()).tasks["queued"] == 0
    assert await ccm.systems.list() == ()
    with pytest.raises(errors.NotFound):
        await ccm.systems.drain("nobody")


async def test_waiting_returns_the_settled_task(house: House, ccm: AsyncClient) -> None:
    run = await house.agent()

    async def finish() -> None:
        await house.store.finish(run.key, TaskResult(Outcome.SUCCEEDED, "Done.", attempt=1))
        house.bus.wake()

    with pytest.raises(WaitTimeout, match="is running: the time") as caught:
        await ccm.tasks.wait(run.task_id, timeout_s=0.05)
    assert vars(caught.value)["task"].task_id == run.task_id
    await finish()
    task = await ccm.tasks.wait(run.task_id)
    assert task.result is not None and task.result.text == "Done."


async def test_the_answer_as_it_came(house: House, ccm: AsyncClient) -> None:
    task = await ccm.tasks.add("blog", "x")
    raw = await ccm.ask(tasks.show(task.task_id).raw())
    async with house.client() as http:
        assert raw == (await http.get(f"/api/tasks/{task.task_id}")).json()


def groups(module: Any, base: type) -> Iterator[tuple[str, type]]:
    for name, kind in vars(module).items():
        if isinstance(kind, type) and issubclass(kind, base) and kind is not base:
            yield name, kind


def test_both_clients_can_do_the_same() -> None:
    awaiting, blocked = dict(groups(awaited, AwaitedGroup)), dict(groups(blocking, BlockingGroup))
    assert awaiting.keys() == blocked.keys() and len(blocked) > 5
    for name in blocked:
        for method, how in vars(blocked[name]).items():
            if method.startswith("__"):
                continue
            theirs: Any = vars(awaiting[name])[method]
            if hasattr(how, "_describe"):
                assert how._describe is theirs._describe, f"{name}.{method}"
                assert type(how).__name__ == type(theirs).__name__.replace("Awaited", "Blocking")
            elif inspect.isfunction(how):
                assert inspect.signature(how) == inspect.signature(theirs)
    assert {name for name in vars(Client) if name[0] != "_"} == {name for name in vars(AsyncClient) if name[0] != "_"}


def test_a_blocking_method_shows_its_signature() -> None:
    client = Client("http://127.0.0.1:1")
    assert str(inspect.signature(client.tasks.show)) == "(task: 'str') -> 'Call[Task]'"
    assert "four characters" in (client.tasks.show.__doc__ or "")
    client.close()


def test_there_is_no_daemon_to_find(tmp_path: Path) -> None:
    with pytest.raises(DaemonUnreachable, match="where it listens"):
        Client.local(tmp_path)


def test_json_of_any_text_is_sent() -> None:
    body = tasks.add("blog", "☃\ud800\x00").body
    assert json.loads(json.dumps(body)) == body


async def test_a_standing_agent_is_made_told_and_ended(house: House, ccm: AsyncClient) -> None:
    made = await ccm.standing.create("helper", project="blog", isolated=False)
    assert (made.agent, made.status, made.run) == ("helper", "hibernating", None)
    assert await ccm.standing.show("helper") == made == (await ccm.standing.page()).items[0]
    sent = await ccm.agents.send("helper", "Hello", idempotency_key="k")
    assert (sent.agent, sent.run_id, sent.status) == ("helper", None, "queued")
    assert (await ccm.agents.send("helper", "Hello", idempotency_key="k")).message_id == sent.message_id
    chat = await ccm.standing.chat("And?", agent="helper", wait_s=0)
    assert chat.reply == "" and len((await ccm.agents.messages("helper")).items) == 2
    changed = await ccm.standing.change("helper", model=None, allowed_tools=["Read"], idle_s=30)
    assert (changed.model, changed.allowed_tools, changed.idle_s) == (None, ["Read"], 30)
    assert (await ccm.standing.change("helper", allowed_tools=None)).allowed_tools is None
    assert (await ccm.standing.stop("helper")).wanted == "stopped"
    assert (await ccm.standing.start("helper")).wanted == "running"
    assert (await ccm.standing.delete("helper")).terminated_at is not None
    assert [agent.agent async for agent in ccm.standing.list(terminated=True)] == ["helper"]


async def test_keys_rules_and_the_audit_log(house: House, ccm: AsyncClient) -> None:
    key = await ccm.keys.create("build server", [Scope.READ])
    assert key.key not in repr(key)
    async with connected(house, key.key) as reader:
        assert (await reader.status()).system_id == "desk"
        with pytest.raises(errors.Forbidden, match="scope `submit`"):
            await reader.tasks.add("blog", "x")
    newer = await ccm.keys.rotate(key.key_id, overlap_s=0)
    assert newer.key != key.key
    await ccm.keys.revoke(newer.key_id)
    assert {known.works for known in await ccm.keys.list()} == {False}
    rule = await ccm.rules.add("deny", tool="Bash", command="rm *", reason="Never.")
    assert rule in await ccm.rules.list() and await ccm.rules.show(rule.rule_id) == rule
    assert await ccm.rules.remove(rule.rule_id) == rule
    done = [record.action async for record in ccm.audit.list(limit=2)]
    assert done[:2] == ["DELETE /api/approval-rules/{rule_id}", "POST /api/approval-rules"] and len(done) > 4
    assert (await ccm.stop_all()).agents == ()
    await ccm.keys.flush_user_keys()
