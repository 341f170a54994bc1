"""Man pages and completions are what the program says now, and their readers understand them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.manuals import completions, manuals
from tests.docs.source import CHECKOUT


def _files(directory: str) -> dict[str, str]:
    return {path.name: path.read_text() for path in (CHECKOUT / directory).iterdir()}


def test_man_pages_are_up_to_date() -> None:
    assert _files("man") == manuals(), "run `make docs`"


def test_completions_are_up_to_date() -> None:
    assert _files("completions") == completions(), "run `make docs`"


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_groff_has_nothing_to_say_about_the_man_pages() -> None:
    pages = sorted((CHECKOUT / "man").iterdir())
    told = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-z", *pages], capture_output=True, text=True, check=False, timeout=60
    )
    assert (told.returncode, told.stderr) == (0, "")


def test_bash_completes_commands_and_options(tmp_path: Path) -> None:
    script = f"""
    source {CHECKOUT}/completions/ccm-orchestrator
    COMP_WORDS=(ccm-orchestrator {{}}); COMP_CWORD=1
    _ccm_orchestrator_completion ccm-orchestrator; printf '%s\\n' "${{{{COMPREPLY[@]}}}}"
    """
    env = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    for typed, offered in (("doct", "doctor"), ("--vers", "--version")):
        done = subprocess.run(
            ["bash", "-c", script.format(typed)], env=env, capture_output=True, text=True, check=True, timeout=60
        )
        assert offered in done.stdout.split()
