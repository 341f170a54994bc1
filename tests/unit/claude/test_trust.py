"""The user's `.claude.json` gets what is missing, and nothing else happens to it."""

import json
import os
import threading
import time
from pathlib import Path

import pytest

from ccm_orchestrator.adapters.claude.trust import answer_ahead
from ccm_orchestrator.errors import DriverError

KEY = "sk-ant-0123456789-abcdefghijklmnop"


@pytest.fixture
def state_file(tmp_path: Path) -> Path:
    return tmp_path / "home" / ".claude.json"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "proj").mkdir()
    return tmp_path / "proj"


def write(state_file: Path, text: str) -> None:
    state_file.parent.mkdir(exist_ok=True)
    state_file.write_text(text)


def test_a_fresh_machine_gets_the_three_answers(state_file: Path, project: Path) -> None:
    assert answer_ahead(state_file, project, KEY)
    assert json.loads(state_file.read_text()) == {
        "hasCompletedOnboarding": True,
        "projects": {str(project): {"hasTrustDialogAccepted": True}},
        "customApiKeyResponses": {"approved": [KEY[-20:]], "rejected": []},
    }
    assert state_file.stat().st_mode & 0o777 == 0o600


def test_the_second_time_nothing_is_written(state_file: Path, project: Path) -> None:
    answer_ahead(state_file, project, KEY)
    before = state_file.stat().st_mtime_ns
    assert not answer_ahead(state_file, project, KEY)
    assert state_file.stat().st_mtime_ns == before


def test_everything_that_was_there_stays(state_file: Path, project: Path) -> None:
    before = {
        "numStartups": 7,
        "unknown": {"ü": [1, None]},
        "projects": {str(project): {"allowedTools": ["x"], "hasTrustDialogAccepted": False}, "/other": {"a": 1}},
        "customApiKeyResponses": {"approved": ["one"], "rejected": ["two"]},
    }
    write(state_file, json.dumps(before))
    answer_ahead(state_file, project, None)
    after = json.loads(state_file.read_text())
    assert after["projects"] == {
        str(project): {"allowedTools": ["x"], "hasTrustDialogAccepted": True},
        "/other": {"a": 1},
    }
    assert {key: after[key] for key in ("numStartups", "unknown", "customApiKeyResponses")} == {
        key: before[key] for key in ("numStartups", "unknown", "customApiKeyResponses")
    }
    assert json.loads(state_file.with_name(".claude.json.before-ccm-orchestrator").read_text()) == before


def test_only_the_first_backup_is_kept(state_file: Path, project: Path, tmp_path: Path) -> None:
    write(state_file, '{"first": 1}')
    answer_ahead(state_file, project, None)
    (tmp_path / "second").mkdir()
    answer_ahead(state_file, tmp_path / "second", None)
    assert json.loads(state_file.with_name(".claude.json.before-ccm-orchestrator").read_text()) == {"first": 1}


def test_a_refused_key_stays_refused(state_file: Path, project: Path) -> None:
    write(state_file, json.dumps({"customApiKeyResponses": {"approved": [], "rejected": [KEY[-20:]]}}))
    answer_ahead(state_file, project, KEY)
    assert json.loads(state_file.read_text())["customApiKeyResponses"]["approved"] == []


def test_a_linked_project_is_trusted_where_it_really_is(state_file: Path, project: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(project)
    answer_ahead(state_file, tmp_path / "link", None)
    assert list(json.loads(state_file.read_text())["projects"]) == [str(project)]


def test_a_linked_state_file_stays_a_link(state_file: Path, project: Path, tmp_path: Path) -> None:
    (tmp_path / "dotfiles").mkdir()
    real = tmp_path / "dotfiles" / "claude.json"
    real.write_text("{}")
    state_file.parent.mkdir()
    state_file.symlink_to(real)
    answer_ahead(state_file, project, None)
    assert state_file.is_symlink()
    assert json.loads(real.read_text())["hasCompletedOnboarding"] is True


@pytest.mark.parametrize("text", ["{", "[]", "\0"])
def test_a_damaged_file_is_left_alone(state_file: Path, project: Path, text: str) -> None:
    write(state_file, text)
    with pytest.raises(DriverError, match=r"\.claude\.json"):
        answer_ahead(state_file, project, None)
    assert state_file.read_text() == text


def test_claude_code_s_own_lock_is_waited_for(state_file: Path, project: Path) -> None:
    write(state_file, "{}")
    lock = state_file.with_name(".claude.json.lock")
    lock.mkdir()
    released_at: list[float] = []

    def release() -> None:
        write(state_file, '{"written": "by the owner of the lock"}')
        released_at.append(time.monotonic())
        lock.rmdir()

    timer = threading.Timer(0.3, release)
    timer.start()
    answer_ahead(state_file, project, None)
    timer.join()
    assert time.monotonic() >= released_at[0]
    assert json.loads(state_file.read_text())["written"] == "by the owner of the lock"
    assert not lock.exists()


def test_a_dead_owner_s_lock_is_broken(state_file: Path, project: Path) -> None:
    write(state_file, "{}")
    lock = state_file.with_name(".claude.json.lock")
    lock.mkdir()
    os.utime(lock, (time.time() - 60, time.time() - 60))
    assert answer_ahead(state_file, project, None)
    assert not lock.exists()


def test_many_writers_lose_nothing(state_file: Path, tmp_path: Path) -> None:
    projects = [tmp_path / f"p{number}" for number in range(8)]
    for one in projects:
        one.mkdir()
    threads = [threading.Thread(target=answer_ahead, args=(state_file, one, None)) for one in projects]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(json.loads(state_file.read_text())["projects"]) == {str(one) for one in projects}
