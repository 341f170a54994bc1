"""Lines of the log: what they say, and the secrets that they do not."""

from __future__ import annotations

import io
import json
import logging
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog

from ccm_orchestrator.domain.events import BusEvent, EventKind
from ccm_orchestrator.security.api_keys import make_key
from ccm_orchestrator.settings import Settings
from ccm_orchestrator.telemetry import facts
from ccm_orchestrator.telemetry.facts import FACTS, log_fact
from ccm_orchestrator.telemetry.lines import FIELDS, formatter
from ccm_orchestrator.telemetry.logs import LogOptions, configure_logs, is_journal
from ccm_orchestrator.telemetry.masking import COVER, Masker
from ccm_orchestrator.wiring.records import known_secrets

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoiYW5vbiJ9.c2lnbmF0dXJlc2lnbmF0dXJl"
PRIVATE = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY-----"


def record(text: str, level: int = logging.INFO, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("ccm", level, "x.py", 1, text, (), None)
    made.created = datetime(2026, 11, 25, 12, 0, 0, 123_000, UTC).timestamp()
    vars(made).update(extra)
    return made


def test_a_line_of_text_says_when_how_bad_what_and_of_whom() -> None:
    line = formatter("text", Masker(), "desk").format(record("task failed", task_id="abcd", failure_kind="spawn"))
    assert line == "2026-11-25T12:00:00.123Z INFO    task failed  task_id=abcd failure_kind=spawn"


def test_a_line_of_json_has_its_fields_in_the_documented_order() -> None:
    line = formatter("json", Masker(), "desk").format(record("task failed", agent="ccm-1", task_id="abcd", attempt=2))
    told: dict[str, Any] = json.loads(line)
    assert list(told) == ["at", "level", "logger", "message", "system_id", "task_id", "agent", "attempt"]
    assert set(told) - {"attempt"} <= set(FIELDS) and told["attempt"] == 2


def test_what_is_bound_to_a_run_is_in_every_line_about_it() -> None:
    with structlog.contextvars.bound_contextvars(run_id="r1"):
        assert json.loads(formatter("json", Masker()).format(record("x")))["run_id"] == "r1"


@pytest.mark.parametrize("style", ["text", "json"])
@pytest.mark.parametrize(
    "secret",
    [
        JWT,
        PRIVATE.replace("\n", " "),
        "sb_secret_0123456789abcdef",
        "sk-ant-api03-0123456789abcdef",
        "ghp_0123456789abcdefghij",
        make_key()[0].reveal(),
        "known-canary-of-ours",
    ],
    ids=["JWT", "private key", "Supabase", "Anthropic", "GitHub", "our own key", "known"],
)
def test_no_line_shows_a_secret(style: str, secret: str) -> None:
    masker = Masker(["known-canary-of-ours"])
    try:
        raise ValueError(secret)
    except ValueError as error:
        made = record(f"it says {secret}.", detail=f"a={secret}", error=error)
        made.exc_info = (ValueError, error, error.__traceback__)
    line = formatter(style, masker).format(made)
    assert line.count(COVER) >= 4 and secret not in line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Bearer abcdefgh12345", f"Authorization: Bearer {COVER}"),
        ("wss://x.test/socket?apikey=abc123&vsn=1", f"wss://x.test/socket?apikey={COVER}&vsn=1"),
        ("postgres://me:hunter2@db/x", f"postgres://{COVER}@db/x"),
        ("the bearer of news, a token of thanks", "the bearer of news, a token of thanks"),
        ("task 1f3c9a2b of ccm-1f3c9a2b", "task 1f3c9a2b of ccm-1f3c9a2b"),
    ],
)
def test_what_looks_like_a_secret_is_covered_and_nothing_else(text: str, shown: str) -> None:
    assert Masker()(text) == shown


def test_secrets_of_several_lines_are_covered_line_by_line() -> None:
    masker = Masker([f"{'a' * 20}\n{'b' * 20}\n"])
    assert masker(f"x {'b' * 20} y") == f"x {COVER} y"


def test_the_daemon_knows_the_secrets_of_its_settings_files_and_variables(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("file-canary\n")
    values = {
        "state_directory": tmp_path,
        "supabase": {"url": "https://x.supabase.co", "system_token": "token-canary", "key_file": tmp_path / "key"},
        "profiles": {"mine": {"env": {"MY_API_KEY": "profile-canary", "EDITOR": "editor-word"}}},
    }
    environment = {
        "OTEL_EXPORTER_OTLP_HEADERS": "x-team=head%20canary",
        "SENTRY_DSN": "dsn-canary",
        "SSH_AUTH_SOCK": "/run/ssh-agent",
        "LANG": "C.UTF-8",
    }
    known = {text.strip() for text in known_secrets(Settings.model_validate(values), environment)}
    assert known == {"file-canary", "token-canary", "profile-canary", "dsn-canary", "head canary"}


def test_a_fact_is_told_with_our_words_and_nobody_elses(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    theirs = {"reason": "canary", "prompt": "canary", "text": "canary", "tool_name": "canary", "subject": "canary"}
    for kind in EventKind:
        data = theirs | {"agent": "ccm-1", "failure_kind": "spawn"}
        log_fact(BusEvent(kind, datetime.now(UTC), "task-1", "run-1", data))
    assert [entry.message for entry in caplog.records] == [FACTS[kind].sentence for kind in EventKind if kind in FACTS]
    assert all(entry.__dict__["task_id"] == "task-1" for entry in caplog.records)
    assert "canary" not in str([vars(entry) for entry in caplog.records])
    assert facts.log.name.startswith("ccm_orchestrator")


def test_journald_is_told_how_bad_each_line_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = io.StringIO()
    monkeypatch.setattr("sys.stderr", stderr)
    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setattr(logging.root, "level", logging.INFO)
    file = configure_logs(tmp_path, LogOptions(journal=True))
    made = record("it fell over", logging.ERROR)
    made.exc_info = (ValueError, ValueError("so"), None)
    logging.root.handle(made)
    file.close()
    assert stderr.getvalue() == "<3>ERROR   it fell over\n<3>  | ValueError: so\n"
    assert file.lost == 0 and (tmp_path / "daemon.log").read_text().startswith("2026-11-25T12:00:00.123Z ERROR")


def test_only_the_stream_that_systemd_named_is_the_journal() -> None:
    reading, writing = os.pipe()
    try:
        found = os.fstat(writing)
        assert is_journal({"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}, writing)
        assert not is_journal({"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino + 1}"}, writing)
        assert not is_journal({"JOURNAL_STREAM": "nonsense"}, writing) and not is_journal({}, writing)
    finally:
        os.close(reading)
        os.close(writing)
