"""The command line on its own: everything that needs no agent works, and bad input gets one sentence and a code."""

import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ccm_orchestrator.cli.exits import Exit
from tests.command_line import CalledHere, CommandLine, command_line


@pytest.fixture(scope="module")
def ccm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    with command_line(tmp_path_factory.mktemp("cli"), CalledHere) as ccm:
        assert ccm("project", "add", ".", "--name", "sample").code == 0
        yield ccm


def test_a_task_is_stored_shown_stopped_and_retried(ccm: CommandLine) -> None:
    added = ccm("task", "add", "Fix the test\nplease", "--tag", "urgent", "--priority", "5", "--json")
    assert added.code == Exit.OK and "No daemon runs" in added.err
    task = added.json
    assert (task["status"], task["project"], task["tags"], task["priority"]) == ("queued", "sample", ["urgent"], 5)
    short = task["task_id"][:8]
    assert short in ccm("task", "list", "--tag", "urgent").out
    assert "Fix the test" in ccm("task", "show", short).out
    assert ccm("task", "show", short, "--json").json["prompt"] == "Fix the test\nplease"
    assert ccm("task", "stop", short, "--json").json[0]["status"] == "cancelled"
    assert ccm("task", "wait", short).code == Exit.TASK_CANCELLED
    assert ccm("task", "retry", short, "-q").out.strip() == task["task_id"]
    assert ccm("task", "list", "--status", "queued", "--tag", "urgent", "-q").out.strip() == task["task_id"]
    events = [json.loads(line)["kind"] for line in ccm("logs", short, "--json").out.splitlines()]
    assert events == ["task.created", "task.cancelled", "task.queued"]
    assert "task.cancelled" in ccm("logs", short).out


def test_the_log_of_a_daemon_that_does_not_run(ccm: CommandLine) -> None:
    assert "There is no log in" in ccm("logs", "--daemon").err
    directory = ccm.state / "logs"
    directory.mkdir(0o700, parents=True)
    (directory / "daemon.log").write_text('one task_id=ab12\n{"message": "two"}\nthree \x1b[31mred\n')
    assert ccm("logs", "--daemon").out.splitlines() == ["one task_id=ab12", '{"message": "two"}', "three red"]
    assert ccm("logs", "--daemon", "ab12").out == "one task_id=ab12\n"
    said = [json.loads(line) for line in ccm("logs", "--daemon", "--json", "-n", "2").out.splitlines()]
    assert said == [{"message": "two"}, {"line": "three \x1b[31mred"}]


def test_a_target_that_is_not_set_is_told_from_none_at_all(ccm: CommandLine, tmp_path: Path) -> None:
    said = ccm("notify", "test")
    assert said.code == Exit.BAD_INPUT and "Nobody is told yet" in said.err
    config = tmp_path / "config.toml"
    config.write_text('[notifications.targets.phone]\nurl = "json://127.0.0.1:9"\n')
    said = ccm("--config", str(config), "notify", "test", "mail")
    assert said.code == Exit.BAD_INPUT and "no target 'mail'; there are: phone." in " ".join(said.err.split())


def test_the_installed_command(ccm: CommandLine) -> None:
    installed = CommandLine(ccm.home, ccm.port)
    said = installed("task", "add", "-", "-q", stdin="from a pipe, é")
    assert said.code == Exit.OK
    assert installed("task", "show", said.out.strip(), "--json").json["prompt"] == "from a pipe, é"
    assert installed("--version").out.startswith("ccm-orchestrator ")
    assert installed("bogus").code == Exit.BAD_INPUT


def test_every_way_to_give_a_prompt(ccm: CommandLine, tmp_path: Path) -> None:
    prompt = '--dash "quotes" $(touch pwned) `x`\n\n\té 日本 🎉 \x01 end'
    file = tmp_path / "prompt.md"
    file.write_text(prompt)
    ids = [
        ccm("task", "add", "-q", "--", prompt).out,
        ccm("task", "add", "-q", "-", stdin=prompt).out,
        ccm("task", "add", "-q", "--file", str(file)).out,
    ]
    assert [ccm("task", "show", task_id.strip(), "--json").json["prompt"] for task_id in ids] == [prompt] * 3
    assert not list(ccm.project.iterdir())


def test_a_prompt_of_200_kb(ccm: CommandLine) -> None:
    task_id = ccm("task", "add", "-q", "-", stdin="x" * 200_000).out.strip()
    assert len(ccm("task", "show", task_id, "--json").json["prompt"]) == 200_000


def test_repeating_adds_nothing(ccm: CommandLine) -> None:
    for key in ("--dedup-key", "--idempotency-key"):
        ids = {ccm("task", "add", "Once", key, f"once{key}", "-q").out for _ in range(2)}
        assert len(ids) == 1


def test_dependencies_may_be_named_by_a_beginning(ccm: CommandLine) -> None:
    first = ccm("task", "add", "First", "-q").out.strip()
    second = ccm("task", "add", "Second", "--after", first[:8], "--run-after", "2h", "--json").json
    assert second["after"] == [first] and second["run_after"] > second["created_at"]


def test_the_project_is_the_one_you_are_in(ccm: CommandLine) -> None:
    inner = ccm.project / "inner"
    inner.mkdir(exist_ok=True)
    assert ccm("task", "add", "x", "--json", cwd=inner).json["project"] == "sample"
    assert ccm("project", "add", cwd=inner).code == 0
    assert ccm("task", "add", "x", "--json", cwd=inner).json["project"] == "inner"
    names = [project["name"] for project in ccm("project", "list", "--json").json]
    assert {"sample", "inner"} <= set(names)
    inner.rmdir()


def test_a_project_with_open_tasks_stays(ccm: CommandLine) -> None:
    ccm("project", "add", ".", "--name", "busy")
    task_id = ccm("task", "add", "x", "-p", "busy", "-q").out.strip()
    refused = ccm("project", "remove", "busy")
    assert refused.code == Exit.BAD_INPUT and "unfinished tasks (1)" in refused.err
    ccm("task", "stop", task_id)
    assert ccm("project", "remove", "busy").code == 0


def test_rules_are_added_listed_and_removed(ccm: CommandLine) -> None:
    added = ccm("approval", "rule", "add", "deny", "--command", "git push *", "-m", "By hand.", "--json").json
    assert (added["decision"], added["command"], added["reason"]) == ("deny", "git push *", "By hand.")
    rule_id = ccm("approval", "rule", "add", "allow", "--tool", "Edit", "--path", "src/**", "-q").out.strip()
    listed = ccm("approval", "rule", "list")
    assert "git push *" in listed.out and "src/**" in listed.out
    for each in (rule_id, added["rule_id"]):
        assert ccm("approval", "rule", "remove", each[:12]).code == 0
    assert ccm("approval", "rule", "list", "-q").out == ""


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("task", "add", ""), "The prompt is empty"),
        (("task", "add"), "Give the prompt as an argument"),
        (("task", "add", "x", "--file", "y"), "Give the prompt as an argument"),
        (("task", "add", "--file", "/nowhere"), "The prompt file /nowhere cannot be read: No such file or directory."),
        (("task", "add", "x", "-p", "nix"), "There is no project named 'nix'"),
        (("task", "add", "x", "--profile", "nix"), "The profile 'nix' is not configured; there are: brain,"),
        (("task", "add", "x", "--after", "ffffffff"), "There is no task 'ffffffff'"),
        (("task", "add", "x", "--run-after", "soon"), "Expected --run-after to be like `30m`"),
        (("task", "add", "x", "--max-attempts", "0"), "Expected `max_attempts` to be from 1 to 20, got: 0."),
        (("task", "add", "x", "--budget", "-1"), "Expected `budget_usd` to be a positive number, got: -1.0."),
        (("task", "show", "ffffffff"), "There is no task 'ffffffff'"),
        (("task", "show", "../x"), "Expected an id or a name, got: '../x'."),
        (("task", "stop", ""), "Expected an id or a name, got: ''."),
        (("task", "wait", "ffffffff"), "There is no task 'ffffffff'"),
        (("agent", "state", "ffffffff"), "There is no run or agent 'ffffffff'"),
        (("agent", "screen", "ffffffff"), "There is no run or agent 'ffffffff'"),
        (("agent", "send", "ffffffff", "hi"), "There is no run or agent 'ffffffff'"),
        (("agent", "stop", "ffffffff"), "There is no run or agent 'ffffffff'"),
        (("agent", "approve", "ffffffff"), "There is no run or agent 'ffffffff'"),
        (("agent", "approve", "ffffffff", "--answer", "x"), "There is no run or agent 'ffffffff'"),
        (("agent", "approve", "perm-f", "--answer", "x"), "Expected --answer to be QUESTION=ANSWER, got: 'x'."),
        (("project", "add", "/nowhere"), "There is no directory /nowhere."),
        (("approval", "rule", "add", "allow"), "neither a tool nor a path nor a command"),
        (("approval", "rule", "add", "allow", "--path", "../x"), "Expected `path` to be absolute or to go down"),
        (("approval", "rule", "remove", "rule-f"), "There is no stored approval rule 'rule-f'"),
        (("logs", "ffffffff"), "There is no run or agent 'ffffffff'"),
        (("attach",), "No agent lives"),
        (("attach", "ffffffff"), "There is no run or agent 'ffffffff'"),
        (("project", "remove", "nix"), "There is no project named 'nix'"),
        (("config", "get", "nix"), "There is no setting `nix`"),
        (("serve", "--port", "0"), "expected `api.port` to be a whole number from 1 to 65535, got: 0, in the command"),
    ],
)
def test_bad_input_gets_one_sentence(ccm: CommandLine, words: tuple[str, ...], sentence: str) -> None:
    said = ccm(*words)
    assert said.code == Exit.BAD_INPUT, said
    assert said.err.startswith("ccm-orchestrator: ") and sentence in said.err
    assert said.out == "" and said.err.count("\n") == 1


def test_a_prompt_that_is_no_text(ccm: CommandLine) -> None:
    said = ccm("task", "add", "-", stdin=b"abc\xff")
    assert said.code == Exit.BAD_INPUT and "not UTF-8 text: see byte 3." in said.err


def test_outside_of_any_project(ccm: CommandLine, tmp_path: Path) -> None:
    said = ccm("task", "add", "x", cwd=tmp_path)
    assert said.code == Exit.BAD_INPUT and "name one with --project (" in said.err and "sample" in said.err


@pytest.mark.parametrize("words", [("bogus",), ("task", "add", "x", "--priority", "high"), ("task", "show")])
def test_wrong_usage(ccm: CommandLine, words: tuple[str, ...]) -> None:
    assert ccm(*words).code == Exit.BAD_INPUT


def test_waiting_ends_in_time(ccm: CommandLine) -> None:
    task_id = ccm("task", "add", "x", "-q").out.strip()
    said = ccm("task", "wait", task_id, "--timeout", "0.2")
    assert said.code == Exit.TIMEOUT and "1 of 1 tasks have not ended" in said.err


def test_status_tells_that_no_daemon_runs(ccm: CommandLine) -> None:
    said = ccm("status", "--json")
    assert said.code == Exit.UNREACHABLE
    assert said.json["daemon"] == "stopped" and "queued" in said.json["tasks"]
    assert "does not run" in ccm("status").out


def test_what_is_stopped_before_the_first_daemon_ran_keeps_it_from_beginning_anything(tmp_path: Path) -> None:
    with command_line(tmp_path, CalledHere) as ccm:
        assert "Nothing happened yet." in ccm("logs").err
        assert (ccm("status", "--json").json["draining"], ccm("status", "--json").json["incidents"]) == (False, [])
        said = ccm("stop-all")
        assert (said.code, said.err) == (Exit.OK, "") and "No agent was running." in said.out
        assert ccm("status", "--json").json["draining"]
        assert "claims nothing new" in ccm("status").out


def test_a_place_that_is_full_is_one_sentence(ccm: CommandLine) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "ccm_orchestrator", "project", "list", "--json"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=ccm.env,
            check=False,
        )
    assert done.returncode == Exit.FAILED
    assert done.stderr == "ccm-orchestrator: What there is to say cannot be written: No space left on device.\n"


def test_a_filter_that_matches_nothing_does_not_say_that_there_are_no_tasks(ccm: CommandLine) -> None:
    assert "No such tasks" in ccm("task", "list", "--tag", "nobody-has-it").out


@pytest.mark.parametrize(
    "words",
    [
        ("task", "list"),
        ("agent", "list"),
        ("agent", "permissions"),
        ("project", "list"),
        ("status",),
        ("config", "get"),
        ("config", "path"),
        ("doctor",),
    ],
)
def test_json_is_json_and_quiet_is_short(ccm: CommandLine, words: tuple[str, ...]) -> None:
    assert ccm(*words, "--json").json is not None
    for line in ccm(*words, "--quiet").out.splitlines():
        assert len(line.split()) <= 3


def test_colours_only_where_they_are_wanted(ccm: CommandLine) -> None:
    coloured = re.compile(r"\x1b\[[0-9;]*3[0-9]m")
    forced = CalledHere(ccm.home, ccm.port, {"FORCE_COLOR": "1"})
    never = CalledHere(ccm.home, ccm.port, {"FORCE_COLOR": "1", "NO_COLOR": "1"})
    assert "\x1b" not in ccm("status").out
    assert coloured.search(forced("status").out)
    assert not coloured.search(never("status").out)


def test_a_configuration_that_cannot_be_used_stops_every_command(ccm: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text("max_agents = 0\nquue_limit = 1")
    for words in (("task", "list"), ("serve",), ("config", "get")):
        said = ccm("--config", str(file), *words)
        assert said.code == Exit.BAD_INPUT
        assert "did you mean `queue_limit`?" in said.err and "expected `max_agents`" in said.err
    assert ccm("--config", str(file), "doctor").code == Exit.FAILED
    assert ccm("--config", str(file), "config", "path").out.strip() == str(file)


def test_setting_a_value(ccm: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "new" / "c.toml"
    file.parent.mkdir()
    file.write_text("# mine\nmax_agents = 3 # few\n")
    assert ccm("--config", str(file), "config", "set", "max_agents", "4").code == 0
    assert ccm("--config", str(file), "config", "set", "profiles.mine.model", "opus").code == 0
    assert file.read_text() == '# mine\nmax_agents = 4 # few\n\n[profiles.mine]\nmodel = "opus"\n'
    assert ccm("--config", str(file), "config", "get", "max_agents").out == "4\n"
    assert ccm("--config", str(file), "config", "get", "profiles", "--json").json["mine"]["model"] == "opus"
    refused = ccm("--config", str(file), "config", "set", "max_agents", "-1")
    assert refused.code == Exit.BAD_INPUT and "max_agents = 4" in file.read_text()


def test_secrets_of_profiles_are_not_shown(ccm: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text("[profiles.mine]\nenv = { TOKEN = 'hunter2' }")
    for words in (("config", "get"), ("config", "get", "--json"), ("config", "get", "profiles.mine")):
        said = ccm("--config", str(file), *words)
        assert "TOKEN" in said.out and "hunter2" not in said.out


def test_a_secret_is_not_set_by_a_command_line(ccm: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    refused = ccm("--config", str(file), "config", "set", "supabase.key", "hunter2")
    assert refused.code == Exit.BAD_INPUT and not file.exists()
    assert "`supabase.key` is a secret" in refused.err and "CCM_SUPABASE__KEY" in refused.err
    assert "hunter2" not in refused.err


def test_a_database_of_a_newer_release_is_left_alone(ccm: CommandLine, tmp_path: Path) -> None:
    with command_line(tmp_path, CalledHere) as other:
        other("task", "list")
        database = other.state / "ccm.db"
        run_sql(database, "INSERT INTO schema_migrations (name) VALUES ('9999_future')")
        said = other("task", "list")
        assert said.code == Exit.FAILED and "newer ccm-orchestrator" in said.err


def run_sql(database: Path, statement: str) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(statement)


def test_the_state_directory_is_private(ccm: CommandLine) -> None:
    assert ccm.state.stat().st_mode & 0o077 == 0
    for path in ccm.state.iterdir():
        assert path.stat().st_mode & 0o077 == 0, path


def test_what_a_command_changes_without_the_daemon_is_recorded_too(ccm: CommandLine) -> None:
    ccm("project", "add", ".", "--name", "audited")
    ccm("project", "remove", "audited")
    removed, added = ccm("audit", "list", "-n", "2", "--json").json["items"]
    assert (added["action"], removed["action"]) == ("POST /api/projects", "DELETE /api/projects/{name}")
    assert added["after"]["name"] == "audited" == removed["before"]["name"] and removed["after"] is None
    assert (removed["caller"], removed["kind"]) == ("local", "local")
    found = ccm("audit", "list", "--target", "audited", "--json").json["items"]
    assert "/api/projects/audited" in {each["target"] for each in found}
    assert "DELETE /api/projects/{name}" in ccm("audit", "list", "--target", "audited").out
    assert ccm("audit", "list", "--caller", "nobody-of-that-name", "-q").out == ""


def test_a_standing_agent_is_made_written_to_stopped_and_deleted(ccm: CommandLine) -> None:
    made = ccm("agent", "create", "writer", "--idle", "30", "--shared", "--json").json
    assert (made["agent"], made["status"], made["project"], made["idle_s"]) == ("writer", "hibernating", "sample", 30)
    assert "writer" in ccm("agent", "list", "--standing").out
    assert ccm("agent", "create", "writer").code == Exit.BAD_INPUT
    assert "small letters" in ccm("agent", "create", "Writer").err
    changed = ccm("agent", "update", "writer", "--model", "opus", "--tool", "Read", "--budget", "2", "--json").json
    assert (changed["model"], changed["allowed_tools"], changed["budget_usd"]) == ("opus", ["Read"], 2)
    changed = ccm("agent", "update", "writer", "--model", "", "--tool", "", "--budget", "0", "--json").json
    assert (changed["model"], changed["allowed_tools"], changed["budget_usd"]) == (None, None, None)
    assert "what to change" in ccm("agent", "update", "writer").err
    sent = ccm("agent", "send", "writer", "Good morning", "--json")
    assert sent.json["status"] == "queued" and "No daemon runs" in sent.err
    assert "Good morning" in ccm("agent", "messages", "writer").out
    assert ccm("agent", "list", "--standing", "--json").json[0]["status"] == "starting"
    waited = ccm("agent", "send", "writer", "Anybody?", "--wait")
    assert waited.code == Exit.UNREACHABLE and "nobody would answer" in waited.err
    assert "no process" in ccm("agent", "screen", "writer").err
    assert "stopped" in ccm("agent", "stop", "writer").out
    assert ccm("agent", "messages", "writer", "--json").json[0]["status"] == "undelivered"
    assert "start it first" in ccm("agent", "send", "writer", "Still there?").err
    assert "hibernating" in ccm("agent", "start", "writer").out
    assert "terminated" in ccm("agent", "delete", "writer").out
    assert ccm("agent", "list", "--standing", "-q").out.strip() == ""
    assert ccm("agent", "delete", "writer").code == Exit.BAD_INPUT
