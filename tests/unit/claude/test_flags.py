"""Which arguments a caller may choose, and what keeps an agent to its tools."""

import pytest

from ccm_orchestrator.adapters.claude.flags import FLAGS, allowed_flags, flags_for_tools
from ccm_orchestrator.errors import InputError


def test_flags_are_given_back_as_one_word_each() -> None:
    given = ["--max-turns", "3", "--effort=high", "--include-partial-messages", "--model", "opus[1m]"]
    assert allowed_flags(given) == ("--max-turns=3", "--effort=high", "--include-partial-messages", "--model=opus[1m]")
    assert allowed_flags([]) == ()


def test_values_may_hold_what_flags_must_not() -> None:
    schema = '{"type": "object", "description": "a=b --settings"}'
    assert allowed_flags(["--json-schema", schema]) == (f"--json-schema={schema}",)


@pytest.mark.parametrize(
    "flags",
    [
        ["--dangerously-skip-permissions"],
        ["--allow-dangerously-skip-permissions"],
        ["--add-dir", "/"],
        ["--settings", "{}"],
        ["--settings={}"],
        ["--mcp-config", "x.json"],
        ["--plugin-dir", "/tmp"],
        ["--allowedTools", "Bash"],
        ["--resume", "5b9c4ad2-6f43-4a0e-93b1-8e8c6e3f7a11"],
        ["--output-format", "text"],
        ["--permission-mode", "bypassPermissions"],
        ["--permission-mode=acceptEdits"],
        ["--max-budget-usd", "1000"],
        ["-p"],
        ["--"],
        ["prompt"],
        [""],
        ["--Model", "opus"],
        ["--model --settings", "x"],
    ],
)
def test_what_is_not_on_the_list_is_refused(flags: list[str]) -> None:
    with pytest.raises(InputError, match=r"not allowed|Expected `--permission-mode`"):
        allowed_flags(flags)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--max-turns"], "a number from 1, got: ''"),
        (["--max-turns", "0"], "a number from 1, got: '0'"),
        (["--max-turns", "--model"], "a number from 1, got: '--model'"),
        (["--model", "--settings"], "the name of a model, got: '--settings'"),
        (["--model", "a b"], "the name of a model"),
        (["--system-prompt", "--settings"], "a text"),
        (["--system-prompt", "a\0b"], "a text"),
        (["--json-schema", "[1]"], "a JSON object"),
        (["--json-schema", "[" * 10_000], "a JSON object"),
        (["--effort", "heroic"], "low, medium, high, xhigh or max, got: 'heroic'"),
        (["--fallback-model", "a,,b"], "models, separated by commas"),
        (["--disallowedTools", "Read --settings"], "tools, separated by commas"),
        (["--strict-mcp-config=no"], "takes no value, got: 'no'"),
        (["--strict-mcp-config"] * 51, "at most 50"),
    ],
)
def test_values_are_checked_and_named(flags: list[str], words: str) -> None:
    with pytest.raises(InputError) as caught:
        allowed_flags(flags)
    assert words in caught.value.message


def test_no_flag_of_the_list_lets_an_agent_do_more() -> None:
    """Whoever adds a flag thinks twice: what reads files, runs programs, or changes how the agent is followed."""
    telling = ("dir", "settings", "plugin", "dangerous", "allowed-tools", "hook", "format", "session", "resume", "mcp")
    assert [flag for flag in FLAGS if any(word in flag for word in telling)] == [
        "--disallowed-tools",
        "--strict-mcp-config",
    ]


def test_attack_46_an_agent_is_kept_to_its_tools() -> None:
    tools = ["Read", "Bash(git log:*)", "Bash(ls)", "mcp__jira__search"]
    assert flags_for_tools(tools) == ("--permission-mode=dontAsk", "--tools=Read,Bash")
    assert flags_for_tools([]) == ("--permission-mode=dontAsk", "--tools=")
    assert flags_for_tools(None) == ()


@pytest.mark.parametrize("tool", ["--settings", "", "Bash(", "Bash(a)(b)", "Read,Edit", "Bash(a\nb)", "Read Edit"])
def test_what_is_no_tool_is_refused(tool: str) -> None:
    with pytest.raises(InputError, match="Expected a tool"):
        flags_for_tools(["Read", tool])
