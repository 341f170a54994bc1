"""Set-ups that are broken on purpose: the doctor finds each, and the command that it names mends it."""

from __future__ import annotations

import asyncio
import os
import socket
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ccm_orchestrator.adapters.sqlite.database import Database
from ccm_orchestrator.adapters.tmux.config import RUN_OPTION, config_text
from ccm_orchestrator.security.secrets import load_local_secrets
from ccm_orchestrator.setup.check import Check, Verdict
from ccm_orchestrator.setup.doctor import examine
from ccm_orchestrator.setup.mending import run


@dataclass
class Machine:
    """A set-up that is well."""

    home: Path
    held: list[socket.socket] = field(default_factory=list)

    @property
    def config(self) -> Path:
        return self.home / "config.toml"

    @property
    def state(self) -> Path:
        return self.home / "state"

    @property
    def database(self) -> Path:
        return self.state / "ccm.db"

    def add_to_config(self, text: str) -> None:
        self.config.write_text(self.config.read_text() + text)

    def execute(self, statement: str, *values: object) -> None:
        with closing(sqlite3.connect(self.database)) as connection, connection:
            connection.execute(statement, values)

    def tmux(self, *arguments: str) -> str:
        done = subprocess.run(["tmux", "-L", "ccm", *arguments], capture_output=True, text=True, check=True, timeout=20)
        return done.stdout.strip()

    def look(self, probe: str) -> dict[str, Check]:
        return {check.name: check for check in asyncio.run(examine(self.config, os.environ, [probe]))}


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    for name in [name for name in os.environ if name.startswith(("CCM_", "XDG_", "TMUX", "SUPABASE"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TMUX_TMPDIR", str(tmp_path / "tmux"))
    (tmp_path / "tmux").mkdir()
    well = Machine(tmp_path)
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port = probe.getsockname()[1]
    well.config.write_text(f'state_directory = "{well.state}"\nmax_agents = 2\n[api]\nport = {port}\n')
    well.config.chmod(0o600)
    well.state.mkdir(mode=0o700)
    load_local_secrets(well.state)

    async def made() -> None:
        database = Database(well.database)
        await database.open()
        await database.close()

    asyncio.run(made())
    well.database.chmod(0o600)
    yield well
    for taken in well.held:
        taken.close()
    subprocess.run(["tmux", "-L", "ccm", "kill-server"], capture_output=True, check=False, timeout=20)


def open_secret(machine: Machine) -> None:
    machine.add_to_config('[supabase]\nurl = "https://abc.supabase.co"\nkey = "sb_secret_0123456789"\n')
    machine.config.chmod(0o644)


def open_key_file(machine: Machine) -> None:
    key = machine.home / "key"
    key.write_text("sb_secret_0123456789")
    key.chmod(0o640)
    machine.add_to_config(f'[supabase]\nurl = "https://abc.supabase.co"\nkey_file = "{key}"\n')


def a_file_instead_of_the_state(machine: Machine) -> None:
    machine.state.rename(machine.home / "elsewhere")
    machine.state.write_text("")


def a_file_instead_of_logs(machine: Machine) -> None:
    (machine.state / "logs").write_text("")


def project(machine: Machine, there: bool) -> None:
    directory = machine.home / "shop"
    if there:
        directory.mkdir()
    machine.execute("INSERT INTO projects (name, path) VALUES ('shop', ?)", str(directory))


def taken_port(machine: Machine) -> None:
    held = socket.create_server(("127.0.0.1", 0))
    machine.held.append(held)
    text = machine.config.read_text()
    machine.config.write_text(text[: text.index("port")] + f"port = {held.getsockname()[1]}\n")


def older_schema(machine: Machine) -> None:
    machine.database.unlink()
    for log in machine.state.glob("ccm.db-*"):
        log.unlink()
    dump = Path(__file__).parents[1] / "compat" / "sqlite-schema-0007.sql"
    with closing(sqlite3.connect(machine.database)) as connection:
        connection.executescript(dump.read_text())
    machine.database.chmod(0o600)


def damaged_database(machine: Machine) -> None:
    for log in machine.state.glob("ccm.db-*"):
        log.unlink()
    machine.database.write_bytes(b"no database at all " * 500)


def socket_directory(machine: Machine) -> Path:
    directory = machine.home / "tmux" / f"tmux-{os.geteuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    return directory


def strange_option(machine: Machine) -> None:
    (machine.state / "tmux.conf").write_text(config_text())
    machine.tmux("-f", str(machine.state / "tmux.conf"), "new-session", "-d", "-s", "ccm", "sleep 300")
    machine.tmux("set-option", "-s", "set-clipboard", "on")


def window_of_nobody(machine: Machine) -> None:
    machine.tmux("new-session", "-d", "-s", "ccm", "sleep 300")
    window = machine.tmux("new-window", "-d", "-P", "-F", "#{window_id}", "sleep 300")
    machine.tmux("set-option", "-w", "-t", window, RUN_OPTION, "f" * 32)


def held_task(machine: Machine) -> None:
    project(machine, there=True)
    machine.execute("INSERT INTO tasks (project, prompt) VALUES ('shop', 'Sell')")
    machine.execute("UPDATE tasks SET status = 'held', hold_reason = 'approval', hold_detail = 'Look at it.'")


BROKEN: dict[str, tuple[str, str, Callable[[Machine], object]]] = {
    "a secret in a configuration that others read": ("configuration", "configuration", open_secret),
    "a configuration that others write": ("config-file", "configuration file", lambda m: m.config.chmod(0o666)),
    "a key file that others read": ("secrets", "supabase.key_file", open_key_file),
    "a state directory that others read": ("state", "state directory", lambda m: m.state.chmod(0o755)),
    "a state directory that is closed to its owner": ("state", "state directory", lambda m: m.state.chmod(0o500)),
    "a file in the place of the state directory": ("state", "state directory", a_file_instead_of_the_state),
    "a token that others read": ("state", "api-token", lambda m: (m.state / "api-token").chmod(0o644)),
    "a token cut short": ("state", "api-token", lambda m: (m.state / "api-token").write_text("abc\n")),
    "an internal secret that others read": (
        "state",
        "internal-secret",
        lambda m: (m.state / "internal-secret").chmod(0o604),
    ),
    "a database that others write": ("state", "state files", lambda m: m.database.chmod(0o666)),
    "a file in the place of the logs": ("usage", "logs", a_file_instead_of_logs),
    "a project that is gone": ("projects", "project shop", lambda m: project(m, there=False)),
    "a project without git": ("projects", "project shop", lambda m: project(m, there=True)),
    "answers of the agent that are no JSON": (
        "agent-state",
        "agent's answers",
        lambda m: (m.home / ".claude.json").write_text("{"),
    ),
    "a socket directory that others read": ("tmux-server", "tmux socket", lambda m: socket_directory(m).chmod(0o755)),
    "a file in the place of the socket": (
        "tmux-server",
        "tmux socket",
        lambda m: (socket_directory(m) / "ccm").write_text(""),
    ),
    "a tmux option that somebody changed": ("tmux-server", "tmux options", strange_option),
    "a window that belongs to nobody": ("windows", "windows", window_of_nobody),
    "a port that is taken": ("daemon", "daemon", taken_port),
    "a database of an older version": ("database", "schema", older_schema),
    "a database that is damaged": ("database", "database", damaged_database),
    "a task that is held": ("tasks", "held tasks", held_task),
    "more agents than memory": (
        "memory",
        "memory",
        lambda m: m.config.write_text(m.config.read_text().replace("max_agents = 2", "max_agents = 5000")),
    ),
}


@pytest.mark.tmux
@pytest.mark.parametrize("broken", BROKEN)
def test_it_is_found_and_its_command_mends_it(machine: Machine, broken: str) -> None:
    probe, name, break_it = BROKEN[broken]
    before = machine.look(probe)
    assert name not in before or before[name].verdict is Verdict.OK, "it was well before"
    break_it(machine)
    found = machine.look(probe)[name]
    assert found.verdict is not Verdict.OK and found.why and found.fix and found.command
    mended = run(found, os.environ, machine.config)
    assert mended.done, mended.said
    after = machine.look(probe)
    assert name not in after or after[name].verdict is Verdict.OK, after[name]
