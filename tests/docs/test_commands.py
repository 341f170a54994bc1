"""The commands that pages show: blocks are run or say why not, and every command and option exists."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from ccm_orchestrator.cli.app import app
from tests.docs.commands import shell_blocks
from tests.docs.source import CHECKOUT

PAGES = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md"))]
PROGRAM = "ccm-orchestrator"
_INLINE = re.compile(rf"`{PROGRAM} ([a-z][^`]*)`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_is_run_or_says_why_not(page: Path) -> None:
    blocks = shell_blocks(page.read_text())
    assert [f"{page.name}:{block.line}" for block in blocks if not block.is_explained] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_a_page_names_exists_with_its_options(page: Path) -> None:
    assert [wrong for call in _calls(page.read_text()) if (wrong := _wrong(call))] == []


@pytest.mark.parametrize("call", ["task ad x", "task add x --waits", "taks", "agent"])
def test_a_command_that_does_not_exist_is_noticed(call: str) -> None:
    assert _wrong(call)


def _calls(page: str) -> Iterator[str]:
    yield from _INLINE.findall(" ".join(page.split()))
    for block in shell_blocks(page):
        for line in block.script.splitlines():
            words = line.partition(" #")[0].split(maxsplit=1)
            if len(words) == 2 and words[0] == PROGRAM:
                yield words[1]


def _wrong(call: str) -> str:
    """What is wrong with it; empty when nothing is."""
    command: Any = typer.main.get_command(app)
    words = shlex.split(call)
    while words and hasattr(command, "commands"):
        name = words.pop(0)
        if any(mark in name for mark in "|…"):
            return ""  # several at once: `service install|uninstall`
        if name not in command.commands:
            return f"{call}: there is no {name}"
        command = command.commands[name]
    if hasattr(command, "commands"):
        return f"{call}: a command is missing"
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    given = [word.partition("=")[0] for word in words if word.startswith("-") and word != "-"]
    return next((f"{call}: there is no {option}" for option in given if option not in known), "")
