"""`init`: from an empty home to a daemon that could work, by flags, by a file, and by answers at a terminal."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import stat
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ccm_orchestrator.cli.setting_up import runs_on_an_older_file
from ccm_orchestrator.demo.sandbox import free_port
from ccm_orchestrator.devstack.stack import LocalSupabase
from ccm_orchestrator.settings import Settings
from tests.claude import claude_binary, claude_versions
from tests.receiver import receiving

LIMIT_S = 90.0
LOOK_S = 0.02
Init = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    for name in ("work/shop", "site"):
        (home / name / ".git").mkdir(parents=True)
    (tmp_path / "tmux").mkdir()
    return home


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    """Nobody is logged in by a real key; agents talk to nobody but the scripted model of the trial."""
    claude = claude_binary(claude_versions()[-1])
    return {
        "HOME": str(home),
        "PATH": f"{claude.parent}:{os.environ['PATH']}",
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
        "TMUX_TMPDIR": str(home.parent / "tmux"),
        "ANTHROPIC_API_KEY": "sk-ant-scripted-model-0000000000",
        "ANTHROPIC_BASE_URL": "http://127.0.0.1:9",
        "CCM_API__PORT": str(free_port()),
    }


@pytest.fixture
def init(home: Path, environment: dict[str, str]) -> Init:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "ccm_orchestrator", "init", *arguments]
        return subprocess.run(
            argv, env=environment, cwd=home, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_S
        )

    return run


def config_of(home: Path) -> Path:
    return home / ".config" / "ccm-orchestrator" / "config.toml"


@pytest.mark.claude
def test_an_empty_home_is_set_up_and_a_task_is_seen_done(home: Path, init: Init) -> None:
    done = init("--yes", "--json", "--service", "none", "--max-agents", "3", "--project", "work/shop")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["trial_succeeded"] is True and told["failed"] == told["failed_checks"] == []
    assert config_of(home).read_text() == "max_agents = 3\n"
    assert stat.S_IMODE(config_of(home).stat().st_mode) == 0o600
    assert [change["key"] for change in told["changes"]] == ["max_agents"]
    assert told["projects"] == [str(home / "work/shop")]


def test_once_more_changes_nothing_and_something_else_keeps_what_was(home: Path, init: Init) -> None:
    first = ("--yes", "--json", "--no-trial", "--service", "none")
    assert init(*first, "--max-agents", "3", "--project", "work/shop").returncode == 0
    config_of(home).write_text("max_agents = 3  # mine\n")
    again = json.loads(init(*first, "--project", "work/shop").stdout)
    assert (again["changes"], again["projects"], again["secret_files"]) == ([], [], [])
    changed = init(*first, "--max-agents", "5")
    assert changed.returncode == 0, changed.stderr
    assert config_of(home).read_text() == "max_agents = 5  # mine\n"
    (backup,) = config_of(home).parent.glob("config.toml.*")
    assert backup.read_text() == "max_agents = 3  # mine\n"


def test_a_dry_run_shows_all_and_leaves_no_trace(home: Path, init: Init) -> None:
    shown = init("--dry-run", "--max-agents", "3", "--project", "site")
    assert shown.returncode == 0 and "max_agents: 10 → 3" in shown.stdout and str(home / "site") in shown.stdout
    assert not (home / ".config").exists() and not (home / ".local").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "nobody to ask"),
        (["--yes", "--store", "mysql"], "`store` cannot be used"),
        (["--yes", "--project", "nowhere"], "nowhere is no directory"),
        (["--yes", "--store", "supabase"], "no URL is given"),
        (["--yes", "--answers", "none.toml"], "none.toml does not exist"),
        (["--yes", "--store", "supabase", "--supabase-url", "http://127.0.0.1:9"], "supabase"),
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_is_changed(
    home: Path, init: Init, arguments: list[str], words: str
) -> None:
    refused = init(*arguments)
    assert refused.returncode == 2 and words in refused.stderr and "Traceback" not in refused.stderr
    assert not config_of(home).exists()


def test_a_broken_configuration_is_left_as_it_is(home: Path, init: Init) -> None:
    config_of(home).parent.mkdir(parents=True)
    config_of(home).write_text("max_agents = many\n")
    refused = init("--yes", "--max-agents", "3")
    assert refused.returncode == 2 and "line 1" in refused.stderr
    assert config_of(home).read_text() == "max_agents = many\n"


def test_what_was_killed_halfway_is_completed_by_repeating_it(
    home: Path, environment: dict[str, str], init: Init
) -> None:
    arguments = ("--yes", "--json", "--no-trial", "--service", "none", "--max-agents", "3", "--project", "site")
    argv = [sys.executable, "-m", "ccm_orchestrator", "init", *arguments]
    cut_short = subprocess.Popen(argv, env=environment, cwd=home, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + LIMIT_S
    while not config_of(home).exists():
        assert time.monotonic() < deadline and cut_short.poll() is None
        time.sleep(0.001)
    cut_short.kill()
    cut_short.wait()
    done = init(*arguments)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["changes"] == [] and config_of(home).read_text() == "max_agents = 3\n"
    assert [path.name for path in config_of(home).parent.iterdir()] == ["config.toml"]
    assert json.loads(init(*arguments).stdout)["projects"] == []


def test_a_daemon_that_has_read_an_older_file_is_known(tmp_path: Path) -> None:
    settings, config = Settings(state_directory=tmp_path), tmp_path / "config.toml"
    assert not runs_on_an_older_file(settings, config)
    for file, written in ((config, 10), (settings.url_file, 20)):
        file.touch()
        os.utime(file, (written, written))
    assert not runs_on_an_older_file(settings, config)
    os.utime(config, (30, 30))
    assert runs_on_an_older_file(settings, config)


def test_a_supabase_project_is_asked_before_anything_is_written(
    home: Path, environment: dict[str, str], init: Init, supabase: LocalSupabase
) -> None:
    key, token = home / "key", home / "token"
    key.write_text("no-such-key\n")
    token.write_text(supabase.token(system_id="shop-1", exp=int(time.time()) + 3600) + "\n")
    for file in (key, token):
        file.chmod(0o600)
    environment["CCM_SYSTEM_ID"] = "shop-1"
    wanted = ("--yes", "--no-trial", "--service", "none", "--supabase-url", supabase.url)
    files = ("--supabase-key-file", str(key), "--supabase-token-file", str(token))
    refused = init(*wanted, *files)
    assert refused.returncode == 2 and "supabase" in refused.stderr and "no-such-key" not in refused.stderr
    assert not config_of(home).exists()
    key.write_text(supabase.publishable_key + "\n")
    done = init(*wanted, *files)
    assert config_of(home).exists(), done.stderr
    written = config_of(home).read_text()
    assert f'url = "{supabase.url}"' in written and f'key_file = "{key}"' in written
    told = done.stdout + done.stderr
    assert "accepted as system shop-1" in told.replace("\n", " ")
    assert not any(secret in told + written for secret in (supabase.publishable_key, token.read_text().strip()))
    assert f"{config_of(home)} stays as it is" in init(*wanted, *files, "--dry-run").stdout.replace("\n", "")


def test_targets_of_notifications_are_set_up_and_tried_without_showing_an_address(home: Path, init: Init) -> None:
    with receiving() as receiver:
        file = home / "phone-url"
        file.write_text(f"{receiver.url}/canary0123456789\n")
        wanted = ["--yes", "--no-trial", "--service", "none", "--notify", f"phone={file}", "--notify-test"]
        open_to_all = init(*wanted)
        assert open_to_all.returncode == 2 and "chmod 600" in open_to_all.stderr
        file.chmod(0o600)
        shown = init(*wanted, "--dry-run")
        assert shown.returncode == 0 and "notifications.targets.phone.url_file" in shown.stdout
        assert receiver.got == [] and not config_of(home).exists()
        done = init(*wanted)
        assert "A test message went to phone." in done.stdout, done.stdout + done.stderr
        assert [told["title"] for told in receiver.got] == ["ccm-orchestrator: a test"]
    assert f'[notifications.targets.phone]\nurl_file = "{file}"' in config_of(home).read_text()
    assert "canary0123456789" not in shown.stdout + done.stdout + done.stderr + config_of(home).read_text()


@pytest.mark.parametrize(
    ("address", "words"),
    [("phone", "NAME=FILE"), ("phone=ntfy://ntfy.sh/x", "NAME=FILE"), ("phone=bad", "Apprise knows no `nosuch://`")],
)
def test_a_target_that_cannot_be_told_is_refused_before_anything_is_changed(
    home: Path, init: Init, address: str, words: str
) -> None:
    (home / "bad").write_text("nosuch://canary0123456789")
    (home / "bad").chmod(0o600)
    done = init("--yes", "--no-trial", "--service", "none", "--notify", address)
    assert done.returncode == 2 and words in done.stderr and "canary0123456789" not in done.stderr
    assert not config_of(home).exists()


def test_a_person_answers_at_a_terminal(home: Path, environment: dict[str, str]) -> None:
    with receiving() as receiver:
        seen = answered(home, environment, receiver.url)
        assert len(receiver.got) == 1
    secret = config_of(home).with_name("notify-desk")
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600 and secret.read_text().strip() == receiver.url
    assert receiver.url not in seen
    assert config_of(home).read_text() == (f'max_agents = 2\n\n[notifications.targets.desk]\nurl_file = "{secret}"\n')
    assert "Registered the project site" in seen and "Registered the project shop" in seen


def answered(home: Path, environment: dict[str, str], url: str) -> str:
    argv = [sys.executable, "-m", "ccm_orchestrator", "init", "--no-trial", "--service", "none"]
    leader, follower = pty.openpty()
    process = subprocess.Popen(argv, env=environment, cwd=home, stdin=follower, stdout=follower, stderr=follower)
    os.close(follower)
    terminal = Terminal(leader)
    for question, answer in (
        ("Your choice", "embedded"),
        ("Numbers or paths", "shop"),
        ("'shop' is neither", "1 work/shop"),
        ("same time?", "none"),
        ("Give a number", "2"),
        ("Address", "nonsense"),
        ("An address begins", url),
        ("call it", "a b"),
        ("cannot be used", "desk"),
        ("Another address", ""),
        ("test message", "y"),
        ("Go ahead?", "y"),
    ):
        terminal.until(question)
        if "ddress" in question:
            terminal.until_it_shows_nothing()
        terminal.say(answer)
    terminal.until("Ready.")
    assert process.wait(LIMIT_S) == 0
    os.close(leader)
    return terminal.seen


@pytest.mark.parametrize("stops_at", ["Your choice", "Address", "Go ahead?"])
def test_ctrl_c_at_any_question_ends_it_and_nothing_is_changed(
    home: Path, environment: dict[str, str], stops_at: str
) -> None:
    argv = [sys.executable, "-m", "ccm_orchestrator", "init", "--no-trial", "--service", "none"]
    leader, follower = pty.openpty()
    process = subprocess.Popen(argv, env=environment, cwd=home, stdin=follower, stdout=follower, stderr=follower)
    os.close(follower)
    terminal = Terminal(leader)
    for question in ("Your choice", "Numbers or paths", "same time?", "Address", "Go ahead?"):
        terminal.until(question)
        if question == "Address":
            terminal.until_it_shows_nothing()
        if question == stops_at:
            break
        terminal.say("")
    process.send_signal(signal.SIGINT)
    assert process.wait(LIMIT_S) == 1
    terminal.until("Aborted")
    os.close(leader)
    assert not config_of(home).exists()


class Terminal:
    def __init__(self, descriptor: int) -> None:
        self.seen = ""
        self._descriptor = descriptor
        self._read_to = 0

    def until(self, words: str) -> None:
        deadline = time.monotonic() + LIMIT_S
        while words not in self.seen[self._read_to :]:
            assert time.monotonic() < deadline, f"waited in vain for {words!r}:\n{self.seen}"
            ready, _, _ = select.select([self._descriptor], [], [], 1.0)
            if ready:
                self.seen += os.read(self._descriptor, 65_536).decode(errors="replace")
        self._read_to = self.seen.index(words, self._read_to) + len(words)

    def until_it_shows_nothing(self) -> None:
        """What is typed before that is thrown away."""
        deadline = time.monotonic() + LIMIT_S
        while termios.tcgetattr(self._descriptor)[3] & termios.ECHO:
            assert time.monotonic() < deadline, self.seen
            select.select([], [], [], LOOK_S)

    def say(self, text: str) -> None:
        os.write(self._descriptor, f"{text}\n".encode())
