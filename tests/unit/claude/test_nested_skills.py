"""Skills below a directory are found, what git ignores is not taken for one, and the second look reads no tree."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ccm_orchestrator.adapters.claude import nested_skills
from ccm_orchestrator.adapters.claude.file_digests import TooMuch
from ccm_orchestrator.adapters.claude.nested_skills import SETTLED_NS, NestedSkills
from ccm_orchestrator.adapters.claude.project_files import ProjectFiles


def skill(place: Path) -> Path:
    path = place / ".claude" / "skills" / "s" / "SKILL.md"
    path.parent.mkdir(parents=True)
    path.write_text("---\nallowed-tools: Bash\n---\n")
    return place


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    root = tmp_path / "repo"
    subprocess.run(["git", "init", "-q", root], check=True)
    return root


@pytest.fixture
def nested() -> NestedSkills:
    return NestedSkills({"PATH": os.environ["PATH"], "HOME": "/nowhere"})


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The directories that were read, on a clock that is far enough ahead of all files."""
    paths, scandir, now = list[str](), os.scandir, time.time_ns()

    def reading(path: str) -> Iterator[os.DirEntry[str]]:
        paths.append(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", reading)
    monkeypatch.setattr(time, "time_ns", lambda: now + 100 * SETTLED_NS)
    yield paths


def test_attack_44_skills_below_count(repo: Path, nested: NestedSkills) -> None:
    skill(repo), skill(repo / "packages" / "web"), skill(repo / "node_modules" / "p")
    (repo / "packages" / ".claude").mkdir()
    files = [risk.file for risk in ProjectFiles(nested, Path("/nowhere")).risks(repo)]
    assert files == [
        ".claude/skills/s/SKILL.md",
        "node_modules/p/.claude/skills/s/SKILL.md",
        "packages/web/.claude/skills/s/SKILL.md",
    ]


def test_what_git_ignores_does_not_count_unless_a_link_leads_there(repo: Path, nested: NestedSkills) -> None:
    (repo / ".gitignore").write_text("vendor/\n.claude/\n")
    hidden, seen = skill(repo / "vendor" / "deep"), skill(repo / "web")
    assert nested.places(repo) == [seen], "Claude Code asks about the directory around `.claude`"
    (repo / "link").symlink_to("vendor")
    assert nested.places(repo) == [hidden, seen]


def test_attack_44_a_git_that_does_not_answer_hides_nothing(
    repo: Path, nested: NestedSkills, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repo / ".gitignore").write_text("vendor/\n")
    hidden = skill(repo / "vendor")
    assert nested.places(repo) == []
    (repo / ".git" / "HEAD").write_text("nonsense")
    assert nested.places(repo) == [hidden]
    assert NestedSkills({"PATH": "/nowhere"}).places(repo) == [hidden]


def test_links_are_not_followed_below_but_a_linked_claude_directory_is(
    repo: Path, nested: NestedSkills, tmp_path: Path
) -> None:
    outside = skill(tmp_path / "outside")
    (repo / "data").symlink_to(outside)
    (repo / "circle").symlink_to(repo)
    (repo / "sub").mkdir()
    (repo / "sub" / ".claude").symlink_to(outside / ".claude")
    assert nested.places(repo) == [repo / "sub"]


def test_only_what_changed_is_read_again(repo: Path, nested: NestedSkills, read: list[str]) -> None:
    for name in ("a", "b", "c/d"):
        (repo / name).mkdir(parents=True)
    assert nested.places(repo) == []
    assert len(read) == 5, "git's own directory is not looked at"
    read.clear()
    assert nested.places(repo) == [] and read == []
    skill(repo / "c" / "d")
    assert nested.places(repo) == [repo / "c" / "d"]
    assert read[0] == str(repo / "c" / "d") and str(repo / "a") not in read


def test_attack_44_what_changed_a_moment_ago_is_read_again(
    repo: Path, nested: NestedSkills, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """File times may be coarse: a second change within the same tick would not show."""
    nested.places(repo)
    changed = repo.stat().st_ctime_ns
    monkeypatch.setattr(time, "time_ns", lambda: changed + SETTLED_NS)
    for _ in range(2):
        read.clear()
        nested.places(repo)
        assert read == [str(repo)]


@pytest.mark.parametrize("limit", ["MOST_DIRECTORIES", "MOST_ENTRIES"])
def test_attack_44_a_tree_without_end_cannot_be_approved(
    repo: Path, nested: NestedSkills, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    for number in range(5):
        (repo / f"d{number}").mkdir()
    monkeypatch.setattr(nested_skills, limit, 3)
    with pytest.raises(TooMuch, match="register a part of it"):
        nested.places(repo)
    (risk,) = ProjectFiles(nested, Path("/nowhere")).risks(repo)
    assert (risk.file, risk.approvable) == (".", False)


def test_what_may_not_be_listed_holds_nobody_up(repo: Path, nested: NestedSkills) -> None:
    skill(repo / b"\xff\n\xe9".decode("utf-8", "surrogateescape"))
    (repo / "closed").mkdir(mode=0)
    assert len(nested.places(repo)) == 1
