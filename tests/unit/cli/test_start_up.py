"""The command line and the daemon start fast: what only others need is not imported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("fastapi", "starlette", "uvicorn", "aiosqlite", "libtmux", "psutil", "ccm_orchestrator.engine")
OF_COMMANDS = ("typer", "ccm_orchestrator.cli.app", "ccm_orchestrator.client", "ccm_orchestrator.setup")
OF_SUPABASE = ("postgrest", "realtime", "websockets", "psycopg", "jwt")
OF_THE_API = ("fastapi", "uvicorn", "ccm_orchestrator.api.app")
OF_FEW = ("apprise", "opentelemetry.sdk", "aiohttp", "ccm_orchestrator.devstack")


def loaded(imported: str, unwanted: tuple[str, ...]) -> str:
    script = f"import sys, {imported}; print([name for name in {unwanted} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


def test_nothing_heavy_is_imported_for_a_command() -> None:
    assert loaded("ccm_orchestrator.cli.app", HEAVY + OF_SUPABASE + OF_FEW) == "[]"


def test_a_daemon_with_the_embedded_store_imports_nothing_of_commands_and_supabase() -> None:
    unwanted = (*OF_COMMANDS, *OF_SUPABASE, *OF_FEW, *OF_THE_API, "libtmux", "ccm_orchestrator.adapters.supabase")
    assert loaded("ccm_orchestrator.cli.serving, ccm_orchestrator.wiring.serving", unwanted) == "[]"


def test_a_daemon_loads_its_api_when_it_is_ready() -> None:
    assert loaded("ccm_orchestrator.wiring.answering", OF_THE_API) == str(list(OF_THE_API))


@pytest.mark.parametrize("options", [[], ["--log-level", "info"]])
def test_a_daemon_that_cannot_start_says_why_with_and_without_options(options: list[str], tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "CCM_MAX_AGENTS": "many"}
    argv = [sys.executable, "-m", "ccm_orchestrator", "serve", *options]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2 and done.stderr.startswith("ccm-orchestrator: ") and "max_agents" in done.stderr
