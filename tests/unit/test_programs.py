"""How our programs are called: from a package, and from the one-file binary."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ccm_orchestrator.adapters.left_copies import remove_left_copies
from ccm_orchestrator.frozen import restore_library_paths
from ccm_orchestrator.programs import Program, argv_of
from ccm_orchestrator.wiring.building import hook_script


@pytest.mark.parametrize("program", list(Program))
def test_a_package_calls_them_with_its_interpreter(program: Program) -> None:
    argv = argv_of(program, "one", "two")
    assert argv[0] == sys.executable and argv[-2:] == ["one", "two"]
    assert all(Path(word).exists() for word in argv if word.endswith(".py"))


def test_what_is_called_is_there() -> None:
    said = subprocess.run(argv_of(Program.COMMAND_LINE, "--version"), capture_output=True, text=True, check=True)
    assert said.stdout.startswith("ccm-orchestrator ")


@pytest.fixture
def binary(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "executable", "/opt/ccm-orchestrator")
    monkeypatch.setenv("_PYI_ARCHIVE_FILE", "/opt/ccm-orchestrator")
    return "/opt/ccm-orchestrator"


def test_the_binary_calls_itself_and_gives_what_may_outlive_it_a_copy_of_its_own(binary: str) -> None:
    env = "/usr/bin/env", "PYINSTALLER_RESET_ENVIRONMENT=1"
    assert argv_of(Program.LAUNCHER, "/run") == [*env, binary, "--be-launcher", "/run"]
    assert argv_of(Program.COMMAND_LINE, "status") == [*env, binary, "status"]


def test_a_tether_shares_the_copy_of_its_parent(binary: str) -> None:
    argv = argv_of(Program.TETHER, "1")
    assert argv[:2] == ["/usr/bin/env", f"_PYI_ARCHIVE_FILE={binary}"]
    assert argv[-3:] == [binary, "--be-tether", "1"]


def test_the_binary_leaves_the_hook_where_it_outlives_the_daemon(binary: str, tmp_path: Path) -> None:
    for _ in range(2):
        hook = hook_script(tmp_path)
        assert hook == tmp_path / "hooks" / "ccm-hook"
        assert hook.stat().st_mode & 0o777 == 0o700 and hook.read_text().startswith("#!/bin/sh")
    assert [file.name for file in hook.parent.iterdir()] == ["ccm-hook"]


def test_only_copies_that_nobody_uses_are_removed(tmp_path: Path) -> None:
    place, processes = tmp_path / "tmp", tmp_path / "proc"
    names = ("own", "left", "used", "young", "other's")
    copies = {name: place / f"_MEI{name}" for name in names}
    for name, copy in copies.items():
        (copy / ("ccm_orchestrator" if name != "other's" else "else")).mkdir(parents=True)
        os.utime(copy, (0, 0) if name != "young" else (1_000_000, 1_000_000))
    (place / "mine").mkdir()
    (processes / "17").mkdir(parents=True)
    (processes / "17" / "maps").write_text(f"7f00-7f01 r-xp 0 08:01 12 {copies['used']}/libpython3.11.so.1.0\n")
    (processes / "18").mkdir()
    remove_left_copies(copies["own"], processes, 1_000_001)
    assert {path.name for path in place.iterdir()} == {"_MEIown", "_MEIused", "_MEIyoung", "_MEIother's", "mine"}


def test_agents_get_the_library_path_that_the_user_had() -> None:
    environment = {"LD_LIBRARY_PATH": "/tmp/_MEI1", "LD_LIBRARY_PATH_ORIG": "/mine", "DYLD_LIBRARY_PATH": "/tmp/_MEI1"}
    restore_library_paths(environment)
    assert environment == {"LD_LIBRARY_PATH": "/mine"}
