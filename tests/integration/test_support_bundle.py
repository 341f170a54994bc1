"""A support bundle tells what is needed, and none of the secrets that lie anywhere on the machine."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import stat
import tarfile
from contextlib import closing
from pathlib import Path

import pytest

from ccm_orchestrator.adapters.sqlite.database import Database
from ccm_orchestrator.errors import InputError
from ccm_orchestrator.security.secrets import load_local_secrets
from ccm_orchestrator.setup.support_bundle import ROOT, make_bundle

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoiY2FuYXJ5In0.canary-signature-of-a-token"
CONFIGURED = {
    "key of the project": "sb_secret_canary0project0key",
    "signing secret": "canary-with-which-tokens-are-signed",
    "Apprise URL": "tgram://4242424242:canary-of-a-bot/1234",
    "variable of a profile": "canary-in-a-profile",
    "argument of an agent": "--canary-argument=of-a-command",
    "prompt of a profile": "canary of a system prompt",
}
IN_FILES = {"key file": "canary-in-a-key-file", "address file": "ntfy://canary-user:canary-pass@ntfy.example/x"}
IN_ENVIRONMENT = {"ANTHROPIC_API_KEY": "sk-ant-canary-00000000", "DATABASE_PASSWORD": "canary-of-a-database"}
IN_UNIT = "canary-of-a-unit-file"
IN_LOG = {
    "JWT": JWT,
    "URL with a password": "canary-password-in-a-url",
    "bearer": "canary.bearer.of.somebody",
    "key of another service": "ghp_canary0000000000000000",
}
TEXTS = ("canary prompt of a task", "canary result of a task", "canary subject of a question")


def plant(home: Path) -> tuple[Path, list[str]]:
    """The configuration, and every secret."""
    state, config = home / "state", home / ".config" / "ccm-orchestrator" / "config.toml"
    (state / "logs").mkdir(parents=True)
    state.chmod(0o700)
    config.parent.mkdir(parents=True)
    for name, text in (("key", IN_FILES["key file"]), ("address", IN_FILES["address file"])):
        (home / name).write_text(text)
        (home / name).chmod(0o600)
    config.write_text(
        f'state_directory = "{state}"\n[supabase]\nkey = "{CONFIGURED["key of the project"]}"\n'
        f'jwt_secret = "{CONFIGURED["signing secret"]}"\nsigning_key_file = "{home / "key"}"\n'
        f'[notifications.targets.me]\nurl = "{CONFIGURED["Apprise URL"]}"\n'
        f'[notifications.targets.you]\nurl_file = "{home / "address"}"\n'
        f'[profiles.mine]\ndriver = "generic"\ncommand = ["agent", "{CONFIGURED["argument of an agent"]}"]\n'
        f'system_prompt = "{CONFIGURED["prompt of a profile"]}"\n'
        f'env = {{ HARMLESS_NAME = "{CONFIGURED["variable of a profile"]}" }}\n'
    )
    config.chmod(0o600)
    units = home / ".config" / "systemd" / "user"
    units.mkdir(parents=True)
    (units / "ccm-orchestrator.service").write_text(f"[Service]\nEnvironment=ANY={IN_UNIT}\nRestart=always\n")
    (state / "logs" / "daemon.log").write_text(
        f"got {JWT}\nhttps://user:{IN_LOG['URL with a password']}@example.org\nAuthorization: Bearer "
        f"{IN_LOG['bearer']}\n{IN_LOG['key of another service']}\n"
        f"kept {CONFIGURED['signing secret']}\nA harmless line.\n"
    )
    secrets = load_local_secrets(state)
    local = [secrets.api_token.reveal(), secrets.internal.reveal()]
    given = [*CONFIGURED.values(), *IN_FILES.values(), *IN_ENVIRONMENT.values(), IN_UNIT, *IN_LOG.values()]
    return config, [*local, *given]


async def fill(database: Path) -> None:
    opened = Database(database)
    await opened.open()
    await opened.close()
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("INSERT INTO projects (name, path) VALUES ('shop', '/nowhere')")
        connection.execute(
            "INSERT INTO tasks (project, prompt, result) VALUES ('shop', ?, ?)",
            (f"{TEXTS[0]} {JWT}", json.dumps({"summary": TEXTS[1]})),
        )
        connection.execute(
            "INSERT INTO events (kind, at, data) VALUES ('permission.requested', '2026-01-01T00:00:00Z', ?)",
            (json.dumps({"subject": TEXTS[2], "tool_name": "Bash", "decision": TEXTS[2], "attempt": 3}),),
        )


def contents(path: Path) -> dict[str, str]:
    with tarfile.open(path) as archive:
        files = {member.name.removeprefix(f"{ROOT}/"): archive.extractfile(member) for member in archive.getmembers()}
        return {name: file.read().decode() for name, file in files.items() if file is not None}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith(("CCM_", "XDG_", "TMUX", "SUPABASE"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TMUX_TMPDIR", str(tmp_path))
    return tmp_path


def test_no_canary_is_in_it_and_what_helps_is(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, secrets = plant(home)
    for name, value in IN_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    asyncio.run(fill(home / "state" / "ccm.db"))
    for with_texts in (False, True):
        path = home / f"bundle-{with_texts}.tar.gz"
        made = asyncio.run(make_bundle(config, os.environ, path, with_texts))
        found = contents(path)
        everything = "\n".join(found.values())
        assert [secret for secret in secrets if secret in everything] == []
        assert [text for text in TEXTS if text in everything] == (list(TEXTS) if with_texts else [])
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert {entry.name for entry in made.entries} | {"manifest.txt"} == set(found)
        assert all(entry.name in found["manifest.txt"] for entry in made.entries)
    assert "A harmless line." in found["logs/daemon.log"]
    assert "Restart=always" in found["units/ccm-orchestrator.service"]
    assert json.loads(found["database.json"])["tasks"] == {"queued": 1}
    assert "ANTHROPIC_API_KEY" in found["environment.txt"] and json.loads(found["config.json"])["max_agents"] == 10
    assert {check["name"] for check in json.loads(found["doctor.json"])} > {"python", "database", "daemon"}


def test_events_without_texts_keep_their_facts(home: Path) -> None:
    config, _ = plant(home)
    asyncio.run(fill(home / "state" / "ccm.db"))
    asyncio.run(make_bundle(config, os.environ, home / "b.tar.gz", with_texts=False))
    (event,) = map(json.loads, contents(home / "b.tar.gz")["events.jsonl"].splitlines())
    assert event["kind"] == "permission.requested" and event["data"] == {"tool_name": "Bash", "attempt": 3}


def test_it_is_made_of_what_is_broken(home: Path) -> None:
    config, secrets = plant(home)
    config.write_text(config.read_text().replace("[profiles.mine]", "[profiles.mine"))
    (home / "state" / "ccm.db").write_bytes(b"no database" * 999)
    asyncio.run(make_bundle(config, os.environ, home / "b.tar.gz", with_texts=True))
    found = contents(home / "b.tar.gz")
    assert "not valid TOML" in found["config-problem.txt"] and "config.json" not in found
    assert [secret for secret in secrets if secret in "\n".join(found.values())] == []


def test_a_file_that_exists_is_not_replaced(home: Path) -> None:
    config, _ = plant(home)
    kept = home / "kept"
    kept.write_text("mine")
    with pytest.raises(InputError, match="exists"):
        asyncio.run(make_bundle(config, os.environ, kept, with_texts=False))
    assert kept.read_text() == "mine"
