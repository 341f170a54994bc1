"""`GitWorkspace` on real repositories, those included that were made to hurt."""

import asyncio
import os
import subprocess
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from ccm_orchestrator.adapters import git as module
from ccm_orchestrator.adapters.git import CLOCK_STEP_S, GitWorkspace
from ccm_orchestrator.domain.result import GitChange

WEIRD = (
    "two\nlines.txt",
    'quo"te.txt',
    "tab\there.txt",
    "-n",
    "--output=owned",
    ":(exclude)*",
    "日本語 😀.txt",
    "*.txt",
    "$(touch owned)",
)


class Repository:
    """A repository for one test, with an identity and nothing of the user's configuration."""

    def __init__(self, path: Path, home: Path) -> None:
        self.path = path
        path.mkdir()
        home.mkdir(exist_ok=True)
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("config", "user.name", "Tester")
        self.git("config", "user.email", "tester@example.org")

    def git(self, *arguments: str) -> str:
        command = ["git", *arguments]
        done = subprocess.run(command, cwd=self.path, env=self.environment, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def write(self, name: str, text: str = "text\n") -> None:
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        (self.path / name).write_text(text)

    def commit(self, subject: str, *names: str) -> str:
        for name in names:
            self.write(name, f"{subject}\n")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--allow-empty-message", "-m", subject)
        return self.git("rev-parse", "HEAD")


def script(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "project", tmp_path / "home")


@pytest.fixture
def workspace(repository: Repository) -> GitWorkspace:
    return GitWorkspace(repository.environment)


async def change(workspace: GitWorkspace, path: Path, base: str) -> GitChange:
    found = await workspace.change_since(path, base)
    assert found is not None
    return found


async def test_commits_changed_and_untracked_files_are_all_told(
    repository: Repository, workspace: GitWorkspace
) -> None:
    base = repository.commit("Begin", "kept.py", "edited.py", "removed.py", "moved.py")
    assert await workspace.base_commit(repository.path) == base
    first = repository.commit("Add a file", "added.py")
    repository.git("mv", "moved.py", "moved-here.py")
    head = repository.commit("Grüße, and a second")
    repository.write("edited.py", "different\n")
    (repository.path / "removed.py").unlink()
    repository.write("new/deep/untracked.py")
    repository.write(".gitignore", "*.log\n")
    repository.write("noise.log")

    found = await change(workspace, repository.path, base)

    assert (found.base_commit, found.head_commit) == (base, head)
    subjects = ("Add a file", "Grüße, and a second")
    assert [line.partition(" ")[2] for line in found.commits] == list(subjects)
    assert first.startswith(found.commits[0].partition(" ")[0])
    changed = {"added.py", "moved.py", "moved-here.py", "edited.py", "removed.py", ".gitignore"}
    assert set(found.files_changed) == changed | {"new/deep/untracked.py"}
    assert " edited.py " in found.diff_stat
    assert "5 files changed" in found.diff_stat
    assert found.diff_stat.endswith("\n 2 untracked files")


async def test_untracked_files_of_an_earlier_task_are_not_this_ones(
    repository: Repository, workspace: GitWorkspace
) -> None:
    base = repository.commit("Begin")
    for name in ("earlier.py", "rewritten.py", "moved.py"):
        repository.write(name)
    started = await a_moment_later(repository.path / "moved.py")
    repository.write("rewritten.py", "again\n")
    (repository.path / "moved.py").rename(repository.path / "renamed.py")
    repository.write("fresh.py")
    found = await workspace.change_since(repository.path, base, started)
    assert found is not None and set(found.files_changed) == {"rewritten.py", "renamed.py", "fresh.py"}
    assert found.diff_stat.endswith(" 3 untracked files")


async def a_moment_later(path: Path) -> datetime:
    """As soon as the clock of the file system has gone on since the file was written."""
    then = path.stat().st_ctime
    while datetime.now(UTC).timestamp() - then < 10 * CLOCK_STEP_S:  # noqa: ASYNC110 - a clock tells nobody that it moved
        await asyncio.sleep(CLOCK_STEP_S)
    return datetime.now(UTC)


async def test_nothing_changed(repository: Repository, workspace: GitWorkspace) -> None:
    base = repository.commit("Begin", "a.py")
    assert await change(workspace, repository.path, base) == GitChange(base, base, (), (), "")


async def test_a_part_of_a_repository_tells_of_the_whole(repository: Repository, workspace: GitWorkspace) -> None:
    base = repository.commit("Begin", "part/a.py", "other.py")
    repository.write("other.py", "edited\n")
    repository.write("untracked.py")
    found = await change(workspace, repository.path / "part", base)
    assert set(found.files_changed) == {"other.py", "untracked.py"}


async def test_weird_paths_arrive_whole_and_are_never_options(
    repository: Repository, workspace: GitWorkspace, tmp_path: Path
) -> None:
    base = repository.commit("Begin")
    for name in WEIRD:
        repository.write(name)
    untracked = await change(workspace, repository.path, base)
    repository.commit("Add them")
    committed = await change(workspace, repository.path, base)
    assert set(untracked.files_changed) == set(committed.files_changed) == set(WEIRD)
    assert not list(tmp_path.rglob("owned"))


async def test_a_path_that_is_not_utf8_can_be_stored(repository: Repository, workspace: GitWorkspace) -> None:
    base = repository.commit("Begin")
    (repository.path / os.fsdecode(b"caf\xe9.txt")).write_text("latin")
    found = await change(workspace, repository.path, base)
    assert found.files_changed == ("caf\\xe9.txt",)
    found.files_changed[0].encode()


async def test_a_project_whose_own_name_is_weird(tmp_path: Path) -> None:
    repository = Repository(tmp_path / '-C\n "x" $(touch owned) \'é\n', tmp_path / "home")
    base = repository.commit("Begin", "a")
    repository.write("a", "edited\n")
    found = await change(GitWorkspace(repository.environment), repository.path, base)
    assert found.files_changed == ("a",)


async def test_no_repository_no_commit_no_directory_and_no_git_mean_none(tmp_path: Path) -> None:
    empty = Repository(tmp_path / "empty", tmp_path / "home")
    full = Repository(tmp_path / "full", tmp_path / "home")
    base = full.commit("Begin", "a")
    (tmp_path / "plain").mkdir()
    workspace = GitWorkspace(full.environment)
    assert await workspace.base_commit(empty.path) is None
    for path in (tmp_path / "plain", tmp_path / "gone", full.path / "a", full.path / ".git"):
        assert await workspace.base_commit(path) is None
        assert await workspace.change_since(path, base) is None
    no_git = GitWorkspace({"PATH": str(tmp_path / "plain")})
    assert await no_git.base_commit(full.path) is None
    assert await no_git.change_since(full.path, base) is None


async def test_a_rewound_branch_says_so(repository: Repository, workspace: GitWorkspace) -> None:
    start = repository.commit("Begin", "a")
    repository.commit("Taken back", "b")
    base = repository.commit("Taken back, too", "c")
    repository.git("reset", "--quiet", "--hard", start)
    repository.commit("Another way", "d")
    found = await change(workspace, repository.path, base)
    assert [line.partition(" ")[2] for line in found.commits] == ["Another way"]
    assert set(found.files_changed) == {"b", "c", "d"}
    assert f"HEAD lacks 2 commits that were there at {base[:12]}" in found.diff_stat


async def test_a_repository_that_was_made_anew_says_so(repository: Repository, workspace: GitWorkspace) -> None:
    gone = "0123456789abcdef0123456789abcdef01234567"
    head = repository.commit("Begin", "a")
    found = await change(workspace, repository.path, gone)
    assert found == GitChange(gone, head, (), (), found.diff_stat)
    assert f"{gone} that the run started from is not in the repository any more" in found.diff_stat


async def test_a_branch_without_a_commit_says_so(repository: Repository, workspace: GitWorkspace) -> None:
    base = repository.commit("Begin", "a")
    repository.git("switch", "--quiet", "--orphan", "bare")
    found = await change(workspace, repository.path, base)
    assert (found.head_commit, found.commits, found.files_changed) == ("", (), ("a",))
    assert "HEAD is a branch without a commit." in found.diff_stat


@pytest.mark.parametrize("base", ["HEAD", "--output=owned", "", "0123456", "A" * 40])
async def test_a_base_that_is_no_object_id_is_refused(
    repository: Repository, workspace: GitWorkspace, base: str
) -> None:
    with pytest.raises(ValueError, match="whole git object id"):
        await workspace.change_since(repository.path, base)


async def test_the_repositorys_own_configuration_runs_nothing(
    repository: Repository, workspace: GitWorkspace, tmp_path: Path
) -> None:
    trap = script(tmp_path / "trap", f'echo "$0" >>"{tmp_path}/sprung"; exit 1')
    signature = 'printf "\\n[GNUPG:] SIG_CREATED \\n" >&2; echo "-----BEGIN PGP SIGNATURE-----"'
    signer = script(tmp_path / "signer", f"cat >/dev/null; {signature}")
    base = repository.commit("Begin", "a.txt", "touched.txt")
    repository.git("-c", f"gpg.program={signer}", "commit", "--quiet", "--allow-empty", "-S", "-m", "Signed")
    repository.write(".gitattributes", "*.txt diff=trap\n")
    repository.write("a.txt", "edited\n")
    os.utime(repository.path / "touched.txt", (1, 1))
    for name in ("core.fsmonitor", "core.pager", "diff.external", "diff.trap.textconv", "diff.trap.command"):
        repository.git("config", name, str(trap))
    repository.git("config", "log.showSignature", "true")
    repository.git("config", "gpg.program", str(trap))
    repository.git("config", "pager.diff", str(trap))
    for hook in ("post-index-change", "post-checkout"):
        (repository.path / ".git" / "hooks" / hook).symlink_to(trap)
    found = await change(workspace, repository.path, base)
    assert set(found.files_changed) == {".gitattributes", "a.txt"}
    assert not (tmp_path / "sprung").exists()


async def test_a_content_filter_sees_no_secret(repository: Repository, tmp_path: Path) -> None:
    secret = "canary-5d1f"
    repository.write(".gitattributes", "*.txt filter=spy\n")
    repository.write("a.txt")
    base = repository.commit("Begin")
    spy = script(tmp_path / "spy", f'env >>"{tmp_path}/seen"; exec cat')
    repository.git("config", "filter.spy.clean", str(spy))
    repository.write("a.txt", "edited\n")
    workspace = GitWorkspace({**repository.environment, "SUPABASE_KEY": secret, "GIT_DIR": "/nowhere"})
    found = await change(workspace, repository.path, base)
    assert found.files_changed == ("a.txt",)
    assert secret not in (tmp_path / "seen").read_text()


async def test_the_index_is_not_written(repository: Repository, workspace: GitWorkspace) -> None:
    base = repository.commit("Begin", "a.py", "touched.py")
    repository.write("a.py", "edited\n")
    os.utime(repository.path / "touched.py", (1, 1))
    before = (repository.path / ".git" / "index").read_bytes()
    found = await change(workspace, repository.path, base)
    assert found.files_changed == ("a.py",)
    assert (repository.path / ".git" / "index").read_bytes() == before


async def test_the_agents_own_lock_is_no_obstacle(repository: Repository, workspace: GitWorkspace) -> None:
    base = repository.commit("Begin", "a.py")
    repository.write("a.py", "edited\n")
    (repository.path / ".git" / "index.lock").touch()
    assert (await change(workspace, repository.path, base)).files_changed == ("a.py",)


async def test_a_git_that_hangs_is_ended_with_what_it_started(repository: Repository, tmp_path: Path) -> None:
    base = repository.commit("Begin", "a")
    fakes = tmp_path / "bin"
    fakes.mkdir()
    script(fakes / "git", f'sleep 600 & echo $! >"{tmp_path}/child"; wait')
    path = os.pathsep.join([str(fakes), os.environ["PATH"]])
    workspace = GitWorkspace({"PATH": path}, timeout_s=1.0)
    assert await workspace.change_since(repository.path, base) is None
    until_gone(int((tmp_path / "child").read_text()))


def until_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, f"process {pid} still lives"
        time.sleep(0.01)


async def test_a_huge_change_is_bounded_and_says_so(
    repository: Repository, workspace: GitWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_FILES", 100)
    base = repository.commit("Begin")
    for number in range(150):
        repository.write(f"many/{number:03}.txt")
    found = await change(workspace, repository.path, base)
    assert len(found.files_changed) == 100
    assert "Only the first 100 of 150 files are listed." in found.diff_stat
    repository.commit("Add many")
    found = await change(workspace, repository.path, base)
    assert "150 files changed" in found.diff_stat
    assert len(found.diff_stat.splitlines()) < 60


async def test_endless_output_is_cut(
    repository: Repository, workspace: GitWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_OUTPUT_BYTES", 1_000)
    base = repository.commit("Begin")
    for number in range(8_000):
        (repository.path / f"a-rather-long-name-{number:05}").touch()
    found = await change(workspace, repository.path, base)
    assert 0 < len(found.files_changed) <= 2_000
    assert "of more than " in found.diff_stat
    assert all(len(name) == 24 for name in found.files_changed)


def test_it_works_on_an_event_loop_of_another_thread(repository: Repository, workspace: GitWorkspace) -> None:
    base = repository.commit("Begin", "a")
    answers: list[str | None] = []
    thread = threading.Thread(target=lambda: answers.append(asyncio.run(workspace.base_commit(repository.path))))
    thread.start()
    thread.join(60)
    assert answers == [base]
