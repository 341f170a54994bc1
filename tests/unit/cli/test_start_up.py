"""The command line starts fast: what only the daemon needs is not imported."""

import subprocess
import sys

HEAVY = ("fastapi", "starlette", "uvicorn", "aiosqlite", "libtmux", "psutil", "ccm_orchestrator.engine")


def test_nothing_heavy_is_imported() -> None:
    script = f"import sys, ccm_orchestrator.cli; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"
