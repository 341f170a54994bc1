"""Whoever calls a command, or starts a daemon, in an agent's work tree runs nothing and heeds nothing of its files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ccm_orchestrator.adapters.apprise.carrier import AppriseCarrier
from ccm_orchestrator.programs import Program, argv_of
from ccm_orchestrator.setup.installed import Installed, Kind
from tests.receiver import receiving

SHADOWED = ("ccm_orchestrator", "pip", "apprise", "typer", "json", "random", "sitecustomize")


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, full of modules that leave `ran` where they are imported."""
    place = tmp_path / "tree"
    place.mkdir()
    for name in SHADOWED:
        (place / name).mkdir()
        for file in ("__init__.py", "__main__.py"):
            (place / name / file).write_text(f"open({str(tmp_path / 'ran')!r}, 'a').write('{name} ')")
    monkeypatch.chdir(place)
    return place


def ran(tree: Path) -> str:
    noted = tree.parent / "ran"
    return noted.read_text() if noted.exists() else ""


def test_the_modules_would_run_where_nothing_is_done_about_it(tree: Path) -> None:
    subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False)
    assert "pip" in ran(tree)


def test_our_own_programs_take_no_module_from_there(tree: Path) -> None:
    argv = argv_of(Program.COMMAND_LINE, "--help")
    assert subprocess.run(argv, capture_output=True, check=True, text=True).stdout and not ran(tree)
    for program in Program:
        subprocess.run(argv_of(program), stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60)
    assert not ran(tree)


async def test_a_notice_is_sent_by_the_real_sender(tree: Path) -> None:
    with receiving() as receiver:
        assert await AppriseCarrier().send(receiver.url, "t", "b", "info") is None
        assert len(receiver.got) == 1 and not ran(tree)


def test_the_installers_take_no_module_from_there(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "environment" / "bin").mkdir(parents=True)
    (tmp_path / "environment" / "bin" / "python").symlink_to(sys.executable)
    here = Installed(Kind.PIP, tmp_path / "environment")
    subprocess.run([*here.installation("1.0"), "--help"], cwd=tree, capture_output=True, check=False, timeout=60)
    assert here.installation("1.0")[0].endswith("python") and not ran(tree)


def test_the_installers_are_run_elsewhere_for_they_read_settings_where_they_are(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "uv").write_text(f"#!/bin/sh\npwd >>{tmp_path}/where\necho ' + ccm-orchestrator==9.0' >&2\n")
    (tools / "uv").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    assert Installed(Kind.UV, tmp_path).offered(None) == "9.0"
    assert (tmp_path / "where").read_text().split() == ["/"]
