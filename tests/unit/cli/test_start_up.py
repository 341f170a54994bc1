"""The command line and the daemon start fast: what only others need is not imported."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from ccm_orchestrator.cli.app import COMMANDS, app
from ccm_orchestrator.cli.late_commands import Group, Tree
from ccm_orchestrator.cli.lazily import load_commands

HEAVY = ("fastapi", "starlette", "uvicorn", "aiosqlite", "libtmux", "psutil", "ccm_orchestrator.engine")
HTTP = ("httpx", "ccm_orchestrator.client.call")
SETTINGS = ("ccm_orchestrator.settings",)
OF_COMMANDS = ("typer", "ccm_orchestrator.cli.app", "ccm_orchestrator.client", "ccm_orchestrator.setup")
OF_SUPABASE = ("postgrest", "realtime", "websockets", "psycopg", "jwt")
OF_THE_API = ("fastapi", "uvicorn", "ccm_orchestrator.api.app")
OF_FEW = ("apprise", "opentelemetry.sdk", "aiohttp", "ccm_orchestrator.devstack")


def loaded(imported: str, unwanted: tuple[str, ...]) -> str:
    script = f"import sys, {imported}; print([name for name in {unwanted} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


def test_nothing_heavy_is_imported_for_a_command() -> None:
    unwanted = (
        *HEAVY,
        *OF_SUPABASE,
        *OF_FEW,
        *HTTP,
        *SETTINGS,
        "pydantic",
        "rich",
        "ccm_orchestrator.cli.commands.init",
    )
    assert loaded("ccm_orchestrator.cli.app", unwanted) == "[]"


@pytest.mark.parametrize("words", ["--version", "--help", "task --help", "task list --help", "init --help"])
def test_no_http_and_no_settings_are_imported_for_what_needs_no_daemon(words: str) -> None:
    unwanted = (*HTTP, *SETTINGS, *HEAVY, *OF_SUPABASE, *OF_FEW)
    assert imported_by(words, unwanted) == [], words


def test_the_version_is_said_without_the_tree_of_commands() -> None:
    assert imported_by("--version", ("typer", "rich", "asyncio", "ccm_orchestrator.cli.app")) == []


def test_a_command_does_not_import_the_others() -> None:
    others = tuple(f"ccm_orchestrator.cli.commands.{name}" for name in ("init", "logs", "agents", "add_task"))
    assert imported_by("task list --help", others) == []
    assert imported_by("task --help", others) == ["ccm_orchestrator.cli.commands.add_task"]


@pytest.mark.parametrize("words", ["taks", "task lits"])
def test_a_mistyped_command_is_answered_by_the_like(words: str) -> None:
    said = CliRunner().invoke(app, words.split())
    assert said.exit_code == 2 and "Did you mean" in said.stderr


def test_a_module_registers_no_command_that_the_tree_does_not_name() -> None:
    named = set(pairs(COMMANDS))
    registered = {(name, module) for module in {module for _, module in named} for name in registered_by(module)}
    assert registered == named


def pairs(tree: Tree) -> Iterator[tuple[str, str]]:
    for name, of in tree.items():
        if isinstance(of, Group):
            yield from pairs(of.commands)
        else:
            yield name, of


def registered_by(module: str) -> Iterator[str]:
    group = typer.Typer()
    load_commands(module)(group)
    assert not group.registered_groups
    for each in group.registered_commands:
        assert each.name is not None
        yield each.name


def imported_by(words: str, unwanted: tuple[str, ...]) -> list[str]:
    """By the whole call, until the process ends."""
    script = (
        "import atexit, sys\n"
        f"atexit.register(lambda: print([name for name in {unwanted} if name in sys.modules], file=sys.stderr))\n"
        f"sys.argv[1:] = {words.split()}\n"
        "from ccm_orchestrator.cli import main\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout
    found: list[str] = ast.literal_eval(done.stderr)
    return found


def test_a_daemon_with_the_embedded_store_imports_nothing_of_commands_and_supabase() -> None:
    unwanted = (*OF_COMMANDS, *OF_SUPABASE, *OF_FEW, *OF_THE_API, "libtmux", "ccm_orchestrator.adapters.supabase")
    assert loaded("ccm_orchestrator.cli.serving, ccm_orchestrator.wiring.serving", unwanted) == "[]"


def test_a_daemon_works_out_how_to_read_rows_when_it_reads_the_first() -> None:
    script = (
        "import gc, ccm_orchestrator.wiring.serving\n"
        "from pydantic import TypeAdapter\n"
        "print([each for each in gc.get_objects() if isinstance(each, TypeAdapter)])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_a_daemon_loads_its_api_when_it_is_ready() -> None:
    assert loaded("ccm_orchestrator.wiring.answering", OF_THE_API) == str(list(OF_THE_API))


@pytest.mark.parametrize("options", [[], ["--log-level", "info"]])
def test_a_daemon_that_cannot_start_says_why_with_and_without_options(options: list[str], tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "CCM_MAX_AGENTS": "many"}
    argv = [sys.executable, "-m", "ccm_orchestrator", "serve", *options]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2 and done.stderr.startswith("ccm-orchestrator: ") and "max_agents" in done.stderr
