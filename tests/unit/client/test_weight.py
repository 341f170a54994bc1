"""A program that only wants the client does not load the daemon."""

import subprocess
import sys

ALLOWED = ("ccm_orchestrator.client", "ccm_orchestrator.domain", "ccm_orchestrator.errors", "ccm_orchestrator.security")
HEAVY = ("fastapi", "pydantic", "sqlite3", "starlette", "typer", "uvicorn")


def test_the_client_brings_only_what_it_needs() -> None:
    script = "import sys, ccm_orchestrator.client; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    loaded = done.stdout.split()
    ours = [name for name in loaded if name.startswith("ccm_orchestrator.") and not name.startswith(ALLOWED)]
    assert ours + [name for name in HEAVY if name in loaded] == []
