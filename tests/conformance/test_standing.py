"""What every store of standing agents keeps, and what every workshop does."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from ccm_orchestrator.adapters.sqlite.standing import SqliteStandingStore
from ccm_orchestrator.adapters.workshops import GitWorkshops
from ccm_orchestrator.domain.dialogue import MessageStatus
from ccm_orchestrator.domain.standing_agent import StandingAgent, Wanted
from ccm_orchestrator.errors import MessageNotFound, StandingAgentNotFound, WrongStatus
from ccm_orchestrator.fakes.clock import START, FakeClock
from ccm_orchestrator.fakes.memory_standing import FakeWorkshops, MemoryStandingStore
from ccm_orchestrator.ports.standing import StandingStore, Workshops
from tests.stores import opened

ID = "a" * 32
WRITER = StandingAgent(ID, "writer", "demo", "executor", "5b9c4ad2-6f43-4a0e-93b1-8e8c6e3f7a11", START)
GIT_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent"}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> AsyncIterator[StandingStore]:
    async with AsyncExitStack() as stack:
        if request.param == "memory":
            yield MemoryStandingStore(clock)
        else:
            yield SqliteStandingStore(await opened(stack, tmp_path / "ccm.db"), clock)


async def test_an_agent_comes_back_whole_and_as_it_was_saved_last(store: StandingStore) -> None:
    full = replace(
        WRITER, owner="u1", model="m", system_prompt="Be brief.", allowed_tools=("Read",), directory=Path("/own")
    )
    await store.add(full)
    assert await store.agent(ID) == full
    changed = replace(full, wanted=Wanted.STOPPED, task_id="t1", detail="why", session_id="other")
    await store.save(changed)
    assert await store.agent(ID) == changed
    with pytest.raises(StandingAgentNotFound):
        await store.agent("no-such")


async def test_a_name_belongs_to_one_agent_of_an_owner_until_it_is_terminated(store: StandingStore) -> None:
    await store.add(WRITER)
    with pytest.raises(WrongStatus, match="writer"):
        await store.add(replace(WRITER, agent_id="b" * 32))
    theirs = replace(WRITER, agent_id="c" * 32, owner="u1")
    await store.add(theirs)
    assert await store.named("writer") == [WRITER, theirs]
    gone = replace(WRITER, wanted=Wanted.TERMINATED, terminated_at=START)
    await store.save(gone)
    again = replace(WRITER, agent_id="d" * 32)
    await store.add(again)
    assert await store.named("writer") == [theirs, again]
    assert await store.agents() == [theirs, again]
    assert await store.agents(terminated=True) == [gone, theirs, again]


async def test_messages_are_kept_in_order_with_what_became_of_them(store: StandingStore, clock: FakeClock) -> None:
    await store.add(WRITER)
    first = await store.add_message(ID, "Hello 🙂\nthere", "opus", "chosen")
    second = await store.add_message(ID, "More")
    assert (first.message_id, first.model, first.status, first.task_id) == (
        "chosen",
        "opus",
        MessageStatus.QUEUED,
        None,
    )
    assert await store.add_message(ID, "Hello again", message_id="chosen") == first
    clock.advance(5)
    carried = replace(first, status=MessageStatus.ANSWERED, task_id="t", run_id="r", tries=2, detail="d", answer="Hi.")
    saved = await store.save_message(carried)
    assert saved == replace(carried, updated_at=clock.now()) == await store.message("chosen")
    assert await store.messages(ID) == [saved, second]
    assert await store.messages(ID, limit=1) == [second]
    assert await store.messages(ID, open_only=True) == [second]
    assert await store.messages("b" * 32) == []
    with pytest.raises(MessageNotFound):
        await store.message("no-such")
    with pytest.raises(MessageNotFound):
        await store.save_message(replace(second, message_id="no-such"))


async def test_unsettled_are_those_with_messages_on_their_way_or_leaving(store: StandingStore) -> None:
    await store.add(WRITER)
    assert await store.unsettled() == frozenset()
    message = await store.add_message(ID, "Hello")
    assert await store.unsettled() == {ID}
    await store.save_message(replace(message, status=MessageStatus.UNDELIVERED))
    assert await store.unsettled() == frozenset()
    leaving = replace(WRITER, wanted=Wanted.TERMINATED, terminated_at=START)
    await store.save(leaving)
    assert await store.unsettled() == {ID}
    await store.save(replace(leaving, cleared=True))
    assert await store.unsettled() == frozenset()


@pytest.fixture(params=["fake", "git"])
def workshops(request: pytest.FixtureRequest, tmp_path: Path) -> Workshops:
    root = tmp_path / "state" / "agents"
    return FakeWorkshops(root) if request.param == "fake" else GitWorkshops(root, GIT_ENVIRONMENT)


async def test_a_plain_project_gets_an_empty_directory_that_goes_when_it_is_empty(
    workshops: Workshops, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    directory = await workshops.make(ID, "writer", project)
    assert directory.is_dir() and not list(directory.iterdir())
    assert await workshops.make(ID, "writer", project) == directory
    assert await workshops.remove(ID, project) == ""
    assert not directory.exists()


async def test_what_is_nowhere_else_is_kept(workshops: Workshops, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    directory = await workshops.make(ID, "writer", project)
    (directory / "note.txt").write_text("mine")
    if isinstance(workshops, FakeWorkshops):
        workshops.full.add(ID)
    assert "was kept" in await workshops.remove(ID, project)
    assert (directory / "note.txt").read_text() == "mine"


def git(directory: Path, *arguments: str) -> str:
    who = ("-c", "user.name=T", "-c", "user.email=t@example.org")
    done = subprocess.run(
        ["git", *who, *arguments], cwd=directory, env=GIT_ENVIRONMENT, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    repository = tmp_path / "repository"
    (repository / "part").mkdir(parents=True)
    (repository / "part" / "a.txt").write_text("one\n")
    git(repository, "init", "-q", "-b", "main")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "first")
    return repository


async def test_a_repository_gets_a_work_tree_on_a_branch_of_its_own(repository: Path, tmp_path: Path) -> None:
    workshops = GitWorkshops(tmp_path / "agents", GIT_ENVIRONMENT)
    marker = tmp_path / "hook-ran"
    hook = repository / ".git" / "hooks" / "post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {marker}\n")
    hook.chmod(0o755)
    directory = await workshops.make(ID, "writer", repository / "part")
    assert (directory / "a.txt").read_text() == "one\n"
    assert git(directory, "branch", "--show-current") == "agents/writer-aaaaaaaa"
    assert await workshops.make(ID, "writer", repository / "part") == directory
    assert await workshops.directories() == [directory]
    assert not marker.exists(), "the repository's own hooks are not ours to run"
    assert await workshops.remove(ID, repository / "part") == ""
    assert (directory.exists(), git(repository, "branch", "--list", "agents/*")) == (False, "")


async def test_changes_and_commits_of_a_work_tree_are_kept(repository: Path, tmp_path: Path) -> None:
    workshops = GitWorkshops(tmp_path / "agents", GIT_ENVIRONMENT)
    directory = await workshops.make(ID, "writer", repository)
    (directory / "b.txt").write_text("new\n")
    assert "was kept" in await workshops.remove(ID, repository)
    git(directory, "add", ".")
    git(directory, "commit", "-qm", "second")
    assert await workshops.remove(ID, repository) == ""
    assert not directory.exists()
    assert "second" in git(repository, "log", "--format=%s", "agents/writer-aaaaaaaa")


async def test_attack_47_only_a_work_tree_of_its_own_is_removed(repository: Path, tmp_path: Path) -> None:
    """Whatever an agent has put in the place of its directory, or an id says."""
    root, mine = tmp_path / "agents", tmp_path / "mine"
    workshops = GitWorkshops(root, GIT_ENVIRONMENT)
    git(repository, "worktree", "add", "-q", "-b", "mine", str(mine))
    for target in (mine, repository, tmp_path / "empty"):
        target.mkdir(exist_ok=True)
        root.mkdir(exist_ok=True)
        (root / ID).symlink_to(target)
        assert "was kept" in await workshops.remove(ID, repository)
        assert target.is_dir() and (root / ID).is_symlink()
        (root / ID).unlink()
    for agent_id in ("..", ".", "", "../mine", str(mine), "../empty"):
        assert "was kept" in await workshops.remove(agent_id, repository)
    assert mine.is_dir() and (tmp_path / "empty").is_dir() and root.is_dir()
