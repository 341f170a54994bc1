"""An agent may put a pipe or a device in the place of a file that the daemon reads: nobody waits for it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ccm_orchestrator.adapters.claude.jsonl import every, tail_lines
from ccm_orchestrator.adapters.claude.paths import ConfigPaths, launched_paths
from ccm_orchestrator.adapters.claude.saying import said_since
from ccm_orchestrator.adapters.claude.transcript import has_conversation
from ccm_orchestrator.adapters.generic.output import OUTPUT_FILE, output_text
from ccm_orchestrator.adapters.plain_files import content_of
from ccm_orchestrator.adapters.rundir.layout import EXITED
from ccm_orchestrator.adapters.rundir.records import exited


def pipe(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to("/dev/zero")


def directory(path: Path) -> None:
    path.mkdir(parents=True)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("make", [pipe, endless, directory])
def test_what_is_no_plain_file_counts_as_missing(tmp_path: Path, make: Callable[[Path], None]) -> None:
    odd = tmp_path / "odd.jsonl"
    make(odd)
    assert (list(tail_lines(odd)), list(every(odd)), said_since(odd, 0)) == ([], [], ((), 0))
    make(tmp_path / "projects" / "p" / "s.jsonl")
    assert not has_conversation(tmp_path / "projects", "s")
    make(tmp_path / OUTPUT_FILE)
    assert output_text(tmp_path) == ""
    make(tmp_path / EXITED)
    assert exited(tmp_path) is None
    make(tmp_path / "launch.json")
    default = ConfigPaths(tmp_path, tmp_path / "state.json")
    assert launched_paths(tmp_path, default) == default
    with pytest.raises(OSError):
        content_of(odd)
