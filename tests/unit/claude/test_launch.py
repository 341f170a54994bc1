"""Arguments, settings and environment of one agent."""

import json
from pathlib import Path
from typing import Any

import pytest

from ccm_orchestrator.adapters.claude.argv import launch_of
from ccm_orchestrator.adapters.claude.environment import agent_environment, inherited
from ccm_orchestrator.adapters.claude.settings_file import agent_settings
from ccm_orchestrator.adapters.claude.versions import NEWEST_TESTED, OLDEST, Version
from ccm_orchestrator.domain.profiles import PermissionMode, Profile
from ccm_orchestrator.domain.run import Mode
from ccm_orchestrator.ports.agents import LaunchOrder
from ccm_orchestrator.ports.launching import Launch
from tests.unit.claude.orders import SESSION_ID, a_run, an_order

HOOK = Path("/opt/ccm/hooks/ccm-hook")


def launch(order: LaunchOrder) -> Launch:
    return launch_of(order, Path("/usr/bin/claude"), NEWEST_TESTED, HOOK, {})


def settings(order: LaunchOrder, version: Version = NEWEST_TESTED) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(json.dumps(agent_settings(order, version, HOOK)))
    return parsed


def option(launched: Launch, name: str) -> str:
    return launched.argv[list(launched.argv).index(name) + 1]


def test_the_prompt_is_a_file_on_standard_input_and_in_no_argument() -> None:
    for mode in Mode:
        started = launch(an_order(run=a_run(mode=mode), prompt="-x 'secret'"))
        assert started.files[str(started.stdin_file)] == b"-x 'secret'"
        assert not any("secret" in argument for argument in started.argv)


def test_an_interactive_agent_has_the_window_for_its_output() -> None:
    started = launch(an_order())
    assert started.stdout_file is None
    assert "--print" not in started.argv
    assert option(started, "--name") == "ccm-1f3c9a2b"


def test_a_printing_agent_streams_into_its_run_directory() -> None:
    started = launch(an_order(run=a_run(mode=Mode.PRINT), budget_usd=0.5))
    assert started.stdout_file == "stream.jsonl"
    assert option(started, "--output-format") == "stream-json"
    assert option(started, "--max-budget-usd") == "0.500000"


def test_a_new_run_names_its_session_and_a_resumed_one_continues_it() -> None:
    assert option(launch(an_order()), "--session-id") == SESSION_ID
    resumed = launch(an_order(run=a_run(resumed=True)))
    assert option(resumed, "--resume") == SESSION_ID
    assert "--session-id" not in resumed.argv


def test_profile_and_model_reach_the_arguments() -> None:
    profile = Profile(
        "p", permission_mode=PermissionMode.PLAN, allowed_tools=("Read", "Bash(git *)"), disallowed_tools=("WebFetch",)
    )
    started = launch(an_order(profile=profile, model="sonnet"))
    assert option(started, "--permission-mode") == "plan"
    assert option(started, "--model") == "sonnet"
    place = list(started.argv).index("--allowedTools")
    assert started.argv[place + 1 : place + 3] == ["Read", "Bash(git *)"]
    assert option(started, "--disallowedTools") == "WebFetch"
    assert started.memory_limit_bytes == 2048 * 1024 * 1024


def test_the_system_prompt_goes_by_file_with_the_marker_instruction_at_its_end() -> None:
    started = launch(an_order(profile=Profile("p", system_prompt="Be brief.", end_marker=True)))
    text = started.files["system-prompt.txt"].decode()
    assert text.startswith("Be brief.\n\n")
    assert "[DONE]" in text
    assert option(started, "--append-system-prompt-file") == "/state/runs/RUN/system-prompt.txt"
    assert "system-prompt.txt" not in launch(an_order()).files


def test_settings_fix_the_permission_mode_and_keep_auto_mode_away() -> None:
    made = settings(an_order())
    assert made["permissions"] == {"defaultMode": "acceptEdits", "disableAutoMode": "disable"}
    assert "skipDangerousModePermissionPrompt" not in made
    bypass = settings(an_order(profile=Profile("p", permission_mode=PermissionMode.BYPASS)))
    assert bypass["skipDangerousModePermissionPrompt"] is True


def test_only_events_that_the_release_knows_are_registered() -> None:
    old, new = settings(an_order(), OLDEST)["hooks"], settings(an_order())["hooks"]
    assert set(new) - set(old) == {"PostModelSwitch"}
    assert not {"MessageDisplay", "PostToolBatch", "WorktreeCreate"} & set(new)


def test_informing_hooks_spool_without_a_shell_and_permissions_are_held_over_http() -> None:
    hooks = settings(an_order())["hooks"]
    [[spooled]] = [group["hooks"] for group in hooks["Stop"]]
    assert (spooled["command"], spooled["args"]) == (str(HOOK), ["/state/spool/RUN", "Stop"])
    [[held]] = [group["hooks"] for group in hooks["PermissionRequest"]]
    assert held["url"] == "http://127.0.0.1:8765/internal/permission/RUN"
    assert held["timeout"] * 1000 < 2**31
    assert "secret-token" not in json.dumps(settings(an_order()))
    assert "PermissionRequest" not in settings(an_order(permission_url=None))["hooks"]


def test_an_agent_inherits_only_what_is_on_the_list() -> None:
    base = {
        "PATH": "/bin",
        "HOME": "/home/user",
        "LC_ALL": "C.UTF-8",
        "ANTHROPIC_API_KEY": "k",
        "CLAUDE_CONFIG_DIR": "/c",
        "CLAUDECODE": "1",
        "CLAUDE_CODE_ENTRYPOINT": "cli",
        "CLAUDE_CODE_SESSION_ID": "outer",
        "CLAUDE_CODE_MESSAGING_TOKEN": "t",
        "CLAUDE_PID": "1",
        "AWS_SECRET_ACCESS_KEY": "s",
        "DATABASE_PASSWORD": "p",
        "CCM_SUPABASE_KEY": "x",
        "TMUX": "/tmp/tmux",
    }
    assert set(inherited(base)) == {"PATH", "HOME", "LC_ALL", "ANTHROPIC_API_KEY", "CLAUDE_CONFIG_DIR"}
    assert "AWS_SECRET_ACCESS_KEY" in inherited({**base, "CLAUDE_CODE_USE_BEDROCK": "1"})


def test_the_agent_knows_its_run_and_a_profile_adds_to_its_environment() -> None:
    env = agent_environment({"PATH": "/bin"}, an_order(profile=Profile("p", env={"PATH": "/mine", "EXTRA": "1"})))
    assert (env["PATH"], env["EXTRA"], env["CCM_RUN_TOKEN"]) == ("/mine", "1", "secret-token")
    assert (env["DISABLE_AUTOUPDATER"], env["CLAUDE_CODE_DISABLE_ALTERNATE_SCREEN"]) == ("1", "1")
    assert "NO_PROXY" not in env


@pytest.mark.parametrize("known", ["", "intranet.example"])
def test_no_proxy_comes_between_an_agent_and_the_daemon(known: str) -> None:
    env = agent_environment({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": known}, an_order())
    assert env["NO_PROXY"].split(",")[-2:] == ["127.0.0.1", "localhost"]
    assert env["no_proxy"] == env["NO_PROXY"]
    assert env["NO_PROXY"].startswith(known)
