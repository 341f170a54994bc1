"""`make demo` after its installation: the main job as a new user sees it, and what is left afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.claude import claude_binary, claude_versions

pytestmark = [pytest.mark.claude, pytest.mark.tmux, pytest.mark.slow]
LIMIT_S = 100.0


@pytest.fixture
def temporary() -> Iterator[Path]:
    """Short, for the sockets in it."""
    with tempfile.TemporaryDirectory(prefix="ccm-") as name:
        yield Path(name)


def test_the_demo_shows_the_main_job_and_leaves_nothing_behind(tmp_path: Path, temporary: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    before = traces_of_claude()
    claude = claude_binary(claude_versions()[-1])
    env = {"PATH": f"{os.environ['PATH']}:{claude.parent}", "HOME": str(home), "LANG": "C.UTF-8", "COLUMNS": "120"}
    done = subprocess.run(
        [sys.executable, "-m", "ccm_orchestrator", "demo", "--claude", claude],
        env=env | {"TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    story = done.stdout
    assert done.returncode == 0, story + done.stderr
    assert done.stderr == ""
    for words in (
        "$ ccm-orchestrator agent approve perm-",
        "the permission is decided: allow by cli:",
        "back in the queue: tests are red",
        "greeting.txt now says: hello, world",
        "cat greeting.txt",
        "attempt  2 of 2",
        "Everything went as it should",
    ):
        assert words in story
    assert story.count("succeeded") == 6, "each in the story and in its report"
    assert [*home.iterdir(), *temporary.iterdir()] == []
    assert traces_of_claude() == before
    assert still_running(temporary) == []


def traces_of_claude() -> set[Path]:
    """What Claude Code puts beside everybody's temporary files, whatever TMPDIR says."""
    return set(Path("/tmp", f"claude-{os.getuid()}").glob("*ccm-demo*"))


def still_running(below: Path) -> list[str]:
    """Processes that have something to do with the directory."""
    found = []
    for process in psutil.process_iter(["cmdline", "environ"]):
        words = [*(process.info["cmdline"] or ()), *(process.info["environ"] or {}).values()]
        if any(str(below) in word for word in words):
            found.append(f"{process.pid} {process.info['cmdline']}")
    return found
