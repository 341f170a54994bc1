"""Nothing is started where the files would do what nobody has approved; what waited for that is released by it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ccm_orchestrator.domain.options import RunOptions
from ccm_orchestrator.domain.task import HoldReason, Task, TaskStatus
from ccm_orchestrator.domain.trust import Risk, waits_for_trust
from ccm_orchestrator.engine import dispatcher, spawn
from ccm_orchestrator.engine.trust import ProjectTrust
from ccm_orchestrator.errors import NotFound, WrongStatus
from tests.unit.engine.house import House
from tests.unit.engine.office import Office

HOOK = Risk(".claude/settings.json", "d1", ("runs on Stop: make",))
EVIL = Risk(".claude/settings.json", "d2", ("runs on Stop: curl evil",))
OTHER = Risk(".mcp.json", "d3", ("starts the MCP server x: sh",))


def trust_of(home: House, root: Path) -> ProjectTrust:
    office = Office(home, root / "agents")
    queues = home.parts().queues
    return ProjectTrust(home.trust, {"claude": home.driver}, office.store, queues, office.control, home.clock)


async def approve(trust: ProjectTrust) -> tuple[str, ...]:
    return tuple((await trust.approve("demo", (await trust.report("demo")).fingerprint, "anna")).released)


async def held(home: House, task_id: str) -> Task:
    task = await home.until_status(task_id, TaskStatus.HELD)
    assert task.hold is not None and task.hold.reason is HoldReason.APPROVAL and task.hold.until is None
    assert waits_for_trust(task)
    return task


async def test_attack_44_a_project_that_nobody_approved_holds_its_tasks_until_somebody_does(
    home: House, tmp_path: Path
) -> None:
    trust = trust_of(home, tmp_path)
    await home.start()
    home.driver.risky[home.project] = (HOOK, OTHER)
    task_id = await home.add()
    task = await held(home, task_id)
    assert task.hold is not None
    assert task.hold.detail == (
        "Nobody has approved what the project's own files do: .claude/settings.json, .mcp.json. Look at it with "
        "`ccm-orchestrator project show demo`, and approve it with `ccm-orchestrator project trust demo`."
    )
    assert (home.driver.orders, await home.runs(task_id), task.attempt) == ([], [], 0)
    assert await approve(trust) == (task_id,)
    await home.until_status(task_id, TaskStatus.RUNNING)


async def test_attack_44_a_later_change_holds_and_what_is_gone_again_does_not(home: House, tmp_path: Path) -> None:
    trust = trust_of(home, tmp_path)
    home.driver.risky[home.project] = (HOOK, OTHER)
    await approve(trust)
    await home.start()
    home.driver.risky[home.project] = (HOOK,)
    await home.running()
    home.driver.risky[home.project] = (EVIL, OTHER)
    task_id = await home.add()
    assert (await held(home, task_id)).hold.detail.count(".mcp.json") == 0  # type: ignore[union-attr]
    await home.store.unhold(task_id)
    await held(home, task_id)


async def test_attack_44_what_is_checked_out_in_the_agents_own_directory_counts(home: House, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    home.driver.risky[home.project] = (HOOK,)
    home.driver.risky[own] = (EVIL,)
    await approve(trust_of(home, tmp_path))
    await home.start()
    await held(home, await home.add(options=RunOptions(directory=own)))
    home.driver.risky[own] = (HOOK,)
    await home.running(options=RunOptions(directory=own))


async def test_attack_44_a_change_while_a_run_is_prepared_starts_nothing(
    home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    intend = spawn.intend

    async def slowly(*given: object) -> object:
        live = await intend(*given)  # type: ignore[arg-type]
        home.driver.risky[home.project] = (EVIL,)
        return live

    monkeypatch.setattr(dispatcher, "intend", slowly)
    await home.start()
    task = await held(home, await home.add())
    assert home.driver.orders == [] and task.attempt == 0


async def test_attack_44_a_change_until_the_window_opens_starts_nothing(
    home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = home.driver.prepare

    async def slowly(*given: object) -> object:
        launch = await prepare(*given)  # type: ignore[arg-type]
        home.driver.risky[home.project] = (EVIL,)
        return launch

    monkeypatch.setattr(home.driver, "prepare", slowly)
    await home.start()
    task = await held(home, await home.add())
    assert home.terminal.opened == [] and task.attempt == 0


async def test_attack_44_what_is_too_much_to_be_looked_at_is_never_approved(home: House, tmp_path: Path) -> None:
    trust = trust_of(home, tmp_path)
    endless = Risk(".claude/skills", "too much", ("holds more than 10000 files",), approvable=False)
    home.driver.risky[home.project] = (HOOK, endless)
    await home.trust.approve("demo", home.project, (HOOK, endless), "anna", home.clock.now())
    with pytest.raises(WrongStatus, match=r"cannot be approved: \.claude/skills holds more than 10000 files"):
        await approve(trust)
    assert [finding.approved for finding in (await trust.report("demo")).findings] == [True, False]
    await home.start()
    task = await held(home, await home.add())
    assert task.hold is not None and task.hold.detail.endswith(
        "That cannot be approved: .claude/skills holds more than 10000 files. Change it, and release the task."
    )


async def test_an_approval_that_comes_while_the_task_is_being_held_is_not_lost(
    home: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust = trust_of(home, tmp_path)
    home.driver.risky[home.project] = (HOOK,)
    release, done = home.store.release, asyncio.Event()

    async def meanwhile(*given: object) -> Task:
        await approve(trust)
        done.set()
        return await release(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(home.store, "release", meanwhile)
    await home.start()
    await home.until_status(await home.add(), TaskStatus.RUNNING)
    assert done.is_set()


async def test_an_approval_that_released_the_task_already_ends_no_orchestrator(
    home: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust = trust_of(home, tmp_path)
    home.driver.risky[home.project] = (HOOK,)
    release, released = home.store.release, list[str]()

    async def and_then(*given: object) -> Task:
        task = await release(*given)  # type: ignore[arg-type]
        released.extend(await approve(trust))
        return task

    monkeypatch.setattr(home.store, "release", and_then)
    await home.start()
    task_id = await home.add()
    await home.until_status(task_id, TaskStatus.RUNNING)
    assert released == [task_id]


async def test_only_what_was_seen_is_approved(home: House, tmp_path: Path) -> None:
    trust = trust_of(home, tmp_path)
    home.driver.risky[home.project] = (HOOK,)
    seen = (await trust.report("demo")).fingerprint
    home.driver.risky[home.project] = (EVIL,)
    with pytest.raises(WrongStatus, match="look at them again"):
        await trust.approve("demo", seen, "anna")
    assert not (await trust.report("demo")).approved
    with pytest.raises(NotFound):
        await trust.report("nowhere")


async def test_only_what_waited_for_that_is_released(home: House, tmp_path: Path) -> None:
    trust = trust_of(home, tmp_path)
    await home.start()
    other = await home.add(profile="nowhere")
    await home.until_status(other, TaskStatus.HELD)
    home.driver.risky[home.project] = (HOOK,)
    task_id = await home.add()
    await held(home, task_id)
    assert await approve(trust) == (task_id,)
    assert await home.status(other) is TaskStatus.HELD
