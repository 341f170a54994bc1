"""Where services cannot be had, it is said before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ccm_orchestrator.errors import InputError
from ccm_orchestrator.settings import Settings
from ccm_orchestrator.setup import services
from ccm_orchestrator.setup.service_files import Installation
from ccm_orchestrator.setup.services import service_manager
from ccm_orchestrator.setup.systemd import Systemd

Programs = Callable[[str, str], None]


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """Writes one; there are no others."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory))

    def write(name: str, body: str) -> None:
        (directory / name).write_text(f"#!/bin/sh\n{body}\n")
        (directory / name).chmod(0o755)

    return write


def test_without_systemd_it_is_said_what_to_run_instead(
    programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr(services, "SYSTEMD_RUNS", tmp_path / "nowhere")
    settings = Settings(state_directory=tmp_path)
    with pytest.raises(InputError, match=r"There is no systemd here: .*`ccm-orchestrator serve`"):
        service_manager(settings, None, False)
    programs("systemctl", "exit 0")
    with pytest.raises(InputError, match=r"installed and does not run here .*`ccm-orchestrator serve`"):
        service_manager(settings, None, False)


def test_a_manager_that_cannot_be_reached_is_named_and_nothing_is_written(programs: Programs, tmp_path: Path) -> None:
    programs("systemctl", "echo 'Failed to connect to bus: No medium found' >&2; exit 1")
    programs("loginctl", "exit 1")
    units = tmp_path / "units"
    units.mkdir()
    manager = Systemd(Installation(Path("/usr/bin/ccm-orchestrator"), "anna", tmp_path, "/usr/bin"), False, units)
    status = manager.status()
    assert (status.installed, status.daemon) == (False, "not installed")
    assert "No medium found" in status.problem and ("--system" in status.problem or "XDG_RUNTIME_DIR" in status.problem)
    for act in (manager.install, manager.restart, lambda: manager.uninstall(True)):
        with pytest.raises(InputError, match="No medium found"):
            act()
    assert list(units.iterdir()) == []


def test_what_is_not_installed_is_not_restarted(programs: Programs, tmp_path: Path) -> None:
    programs("systemctl", 'case "$*" in *LoadState*) echo LoadState=not-found ;; esac')
    manager = Systemd(Installation(Path("/usr/bin/ccm-orchestrator"), "anna", tmp_path, "/usr/bin"), False, tmp_path)
    with pytest.raises(InputError, match="is not installed: run `ccm-orchestrator service install`"):
        manager.restart()
