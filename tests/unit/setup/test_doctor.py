"""Each check alone: what it finds, and what it says to do."""

import os
import socket
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from ccm_orchestrator.adapters.sqlite.database import Database
from ccm_orchestrator.errors import InputError
from ccm_orchestrator.settings import Settings, load_settings
from ccm_orchestrator.setup import (
    agent_checks,
    daemon_checks,
    program_checks,
    project_checks,
    state_checks,
    tmux_checks,
    work_checks,
)
from ccm_orchestrator.setup.check import Check, Verdict
from ccm_orchestrator.setup.doctor import configuration, examine, listed
from ccm_orchestrator.setup.probing import Place, Probe


def settings_in(directory: Path, port: int = 8765) -> Settings:
    return load_settings(flags={"state_directory": str(directory), "api": {"port": port}})


@pytest.fixture(autouse=True)
def away_from_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith("CCM_")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("check", "verdict"),
    [
        (program_checks.python((3, 11, 0)), Verdict.OK),
        (program_checks.python((3, 10, 9)), Verdict.FAIL),
        (program_checks.sqlite((3, 51, 3)), Verdict.OK),
        (program_checks.sqlite((3, 40, 1)), Verdict.WARN),
        (program_checks.sqlite((3, 30, 0)), Verdict.FAIL),
        (program_checks.tmux_version("/usr/bin/tmux", "3.3a"), Verdict.OK),
        (program_checks.tmux_version("/usr/bin/tmux", "3.7"), Verdict.WARN),
        (program_checks.tmux_version("/usr/bin/tmux", "master"), Verdict.WARN),
        (program_checks.git({"PATH": "/nowhere"}), Verdict.WARN),
        (program_checks.git(os.environ), Verdict.OK),
        (program_checks.platform_support("Darwin"), Verdict.OK),
        (program_checks.platform_support("Windows"), Verdict.FAIL),
        (state_checks.space(10**12), Verdict.OK),
        (state_checks.space(10**9), Verdict.WARN),
        (state_checks.space(10**7), Verdict.FAIL),
        (project_checks.project("gone", Path("/nowhere")), Verdict.WARN),
    ],
)
def test_the_verdict(check: Check, verdict: Verdict) -> None:
    assert check.verdict is verdict
    assert check.found
    assert bool(check.why and check.fix) is (verdict is not Verdict.OK)


def test_a_machine_without_tmux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    check = program_checks.tmux()
    assert check.verdict is Verdict.FAIL and "apt install tmux" in check.fix


def fake_claude(directory: Path, says: str, logged_in: bool = True) -> str:
    path = directory / "claude"
    path.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "{says}" && exit\nexit {0 if logged_in else 1}\n')
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("says", "logged_in", "verdicts"),
    [
        ("2.1.329 (Claude Code)", True, {"claude": Verdict.OK, "login": Verdict.OK}),
        ("2.1.329 (Claude Code)", False, {"claude": Verdict.OK, "login": Verdict.FAIL}),
        ("9.9.9 (Claude Code)", True, {"claude": Verdict.WARN, "login": Verdict.OK}),
        ("1.0.0 (Claude Code)", True, {"claude": Verdict.FAIL}),
        ("something else", True, {"claude": Verdict.FAIL}),
    ],
)
async def test_claude(tmp_path: Path, says: str, logged_in: bool, verdicts: dict[str, Verdict]) -> None:
    env = {"PATH": "/bin:/usr/bin", "HOME": str(tmp_path)}
    checks = await agent_checks.claude(fake_claude(tmp_path, says, logged_in), env)
    assert {check.name: check.verdict for check in checks} == verdicts


async def test_a_key_in_the_environment_is_a_login(tmp_path: Path) -> None:
    env = {"PATH": "/bin:/usr/bin", "HOME": str(tmp_path), "ANTHROPIC_API_KEY": "sk-secret"}
    checks = await agent_checks.claude(fake_claude(tmp_path, "2.1.329 (Claude Code)", logged_in=False), env)
    assert checks[1].verdict is Verdict.OK
    assert "sk-secret" not in repr(checks)


async def test_a_machine_without_claude(tmp_path: Path) -> None:
    (check,) = await agent_checks.claude("no-such-claude", {"PATH": str(tmp_path)})
    assert check.verdict is Verdict.FAIL and "npm install" in check.fix


def test_the_state_directory(tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert state_checks.directory(state).verdict is Verdict.OK
    state.mkdir(mode=0o700)
    assert state_checks.directory(state).verdict is Verdict.OK
    state.chmod(0o750)
    check = state_checks.directory(state)
    assert check.verdict is Verdict.FAIL and "drwxr-x---" in check.found and "chmod" in check.command
    assert not list(state.iterdir()), "examining changes nothing"


def test_a_state_directory_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    check = state_checks.directory(tmp_path / "file" / "state")
    assert check.verdict is Verdict.FAIL and f"{tmp_path}/file is no directory" in check.found
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    check = state_checks.directory(tmp_path / "home" / "state")
    assert check.verdict is Verdict.FAIL and f"you may not write to {tmp_path}" in check.found


def test_a_directory_of_the_tmux_socket_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    socket = tmp_path / "tmux-1" / "ccm"
    assert tmux_checks.socket_place(socket).verdict is Verdict.OK
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    check = tmux_checks.socket_place(socket)
    assert check.verdict is Verdict.FAIL and f"you may not write to {tmp_path}" in check.found


async def test_the_database(tmp_path: Path) -> None:
    path = tmp_path / "ccm.db"
    assert [check.verdict for check in work_checks.database(path)] == [Verdict.OK]
    assert not path.exists()
    database = Database(path)
    await database.open()
    await database.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO projects (name, path) VALUES ('gone', '/nowhere')")
    found = {check.name: check.verdict for check in work_checks.database(path)}
    assert found == dict.fromkeys(("database", "schema", "database log"), Verdict.OK)
    assert state_checks.registered_projects(path) == {"gone": Path("/nowhere")}


def test_a_damaged_database(tmp_path: Path) -> None:
    path = tmp_path / "ccm.db"
    path.write_bytes(b"this is no database" * 100)
    (check,) = work_checks.database(path)
    assert check.verdict is Verdict.FAIL and "backup" in check.fix


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        settings = settings_in(tmp_path, other.getsockname()[1])
        (check,) = daemon_checks.daemon(settings)
    assert check.verdict is Verdict.FAIL and check.command.startswith("ccm-orchestrator config set api.port ")
    (check,) = daemon_checks.daemon(settings)
    assert check.verdict is Verdict.OK, "the other one has gone"


async def test_a_probe_that_hangs_is_a_finding_and_holds_up_nobody(tmp_path: Path) -> None:
    held = threading.Event()

    def hang(_place: Place) -> list[Check]:
        held.wait()
        return []

    probes = [
        Probe("stuck", "Disk", "a disk that does not answer", hang, 0.05),
        Probe("well", "Disk", "another one", lambda _: Check("well", Verdict.OK, "is")),
    ]
    checks = await examine(None, {}, ["disk"], probes)
    held.set()
    assert [(check.name, check.verdict) for check in checks] == [("stuck", Verdict.FAIL), ("well", Verdict.OK)]
    assert "no answer within 0.05 s" in checks[0].found


async def test_only_what_is_named_is_examined() -> None:
    checks = await examine(None, os.environ, ["python", "Machine"])
    assert {check.group for check in checks} == {"Programs", "Machine"}
    with pytest.raises(InputError, match="no check `pythn`"):
        await examine(None, os.environ, ["pythn"])


def test_there_are_as_many_probes_as_promised() -> None:
    assert len(listed()) == len({probe["name"] for probe in listed()}) >= 28


def test_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "c.toml"
    file.write_text("max_agents = 0")
    _, (check,) = configuration(file)
    assert check.verdict is Verdict.FAIL and "max_agents" in check.found
    file.write_text("max_agents = 1")
    monkeypatch.setenv("CCM_MAX_AGENT", "3")
    _, checks = configuration(file)
    found = {check.name: check.verdict for check in checks}
    assert found == {"configuration": Verdict.OK, "environment": Verdict.WARN}


async def test_everything_is_examined_and_nothing_is_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CCM_STATE_DIRECTORY", str(tmp_path / "state"))
    names = [check.name for check in await examine(None, {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)})]
    expected = {"python", "configuration", "sqlite", "tmux", "git", "claude", "state directory", "disk", "database"}
    assert expected | {"daemon"} <= set(names)
    assert not (tmp_path / "state").exists()


def test_the_documentation_names_every_probe() -> None:
    page = (Path(__file__).parents[3] / "docs" / "doctor.md").read_text()
    for probe in listed():
        assert f"| `{probe['name']}` | {probe['group']} | {probe['about']} |" in page
