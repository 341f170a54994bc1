"""What commands a command line is made of, compared with what a real shell does with it."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ccm_orchestrator.domain.patterns import text_matches
from ccm_orchestrator.domain.shell import mentioned_commands, simple_commands


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("npm test", ("npm test",)),
        ("npm test && git diff | head -3; ls &\n pwd", ("npm test", "git diff", "head -3", "ls", "pwd")),
        ("echo 'a; b' \"c && d\" e\\;f", ("echo 'a; b' \"c && d\" e\\;f",)),
        ("npm test 2>&1 | tail -5", ("npm test", "tail -5")),
        ("make >/dev/null 2>&1", ("make",)),
        ('grep "a\\"; b" x', ('grep "a\\"; b" x',)),
        ("echo a#b", ("echo a#b",)),
    ],
)
def test_a_clear_line_is_taken_apart(line: str, parts: tuple[str, ...]) -> None:
    assert simple_commands(line) == parts


@pytest.mark.parametrize(
    "line",
    [
        "",
        " ; ",
        "echo $(rm x)",
        'echo "$(rm x)"',
        "echo `rm x`",
        "echo $HOME",
        "echo hi > file",
        "cat < file",
        "make > /dev/null/../../etc/x",
        "(rm x)",
        "f() { rm x; }",
        "echo 'a",
        'echo "a',
        "echo \\",
        "echo a\\\nb",
        "npm test # it's\nrm x",
        "npm test #'\nrm x #'",
        "npm test\rrm x",
        "npm test\0",
    ],
)
def test_an_unclear_line_is_not(line: str) -> None:
    assert simple_commands(line) is None


@pytest.mark.parametrize(
    "line",
    [
        "rm -rf /",
        "cd / && rm -rf /",
        "echo $(rm -rf /)",
        'sh -c "rm -rf /"',
        "FOO=1 sudo rm  -rf /",
        "if true; then rm -rf /; fi",
        "'rm' -rf /",
        "r\\m -rf /",
        "true `rm -rf /`",
    ],
)
def test_what_is_mentioned_is_found(line: str) -> None:
    assert any(text_matches("rm -rf *", each) or "rm -rf /" in each for each in mentioned_commands(line))


SCRIPT = """
good() { :; }
evil() { printf EVIL; }
command_not_found_handle() { :; }
"""
WORDS = "good,good x,evil,x,if ,then ,fi,do ,eval ,exec ,time ,case ,in ,2>&1, >/dev/null,&>,>&2,<<<,&&,||,|&,;;,$("
PIECES = [*WORDS.split(","), *" \t\n;&'\"\\#$`(){}!<>=*~[]|"]


@settings(max_examples=400)
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=9).map("".join).map("good ".__add__))
@example("good #'\nevil #'")
@example("good \\\nevil")
@example("good 2>&1evil")
@example('good "\\";evil"')
@example("good 'x'\\'';evil'")
def test_a_shell_runs_nothing_that_the_parts_do_not_begin_with(line: str) -> None:
    """Whatever is taken for uses of one harmless command runs no other."""
    parts = simple_commands(line)
    if parts is None or not all(text_matches("good *", part) for part in parts):
        return
    done = subprocess.run(
        ["/bin/bash", "--norc", "-c", SCRIPT + line], capture_output=True, timeout=20, cwd="/", env={"PATH": "/nowhere"}
    )
    assert b"EVIL" not in done.stdout + done.stderr, (line, parts)
