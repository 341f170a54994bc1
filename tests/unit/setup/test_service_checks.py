"""What the doctor says of the service's files: of their text, and of the PATH that is in them."""

from __future__ import annotations

import platform
from dataclasses import replace
from pathlib import Path

import pytest

from ccm_orchestrator.settings import Settings
from ccm_orchestrator.setup import service_checks
from ccm_orchestrator.setup.check import Check, Verdict
from ccm_orchestrator.setup.service_files import launch_agents, systemd_units
from ccm_orchestrator.setup.service_status import ServiceStatus
from ccm_orchestrator.setup.services import describe_installation

NAMES = ("tmux", "git", "claude")


def programs(directory: Path, *names: str) -> str:
    directory.mkdir()
    for name in names:
        (directory / name).write_text("#!/bin/sh\n")
        (directory / name).chmod(0o755)
    return str(directory)


class Desk:
    """A shell that finds all programs, and files of a service that were written in another one."""

    def __init__(self, directory: Path, system: str, settings: Settings) -> None:
        self.files, self.settings, self.system = directory / "files", settings, system
        self.files.mkdir()

    def write(self, path: str) -> None:
        written = replace(describe_installation(self.settings, None), path=path)
        if self.system == "Linux":
            for name, text in systemd_units(written, False).items():
                (self.files / name).write_text(text)
        else:
            for name, content in launch_agents(written).items():
                (self.files / name).write_bytes(content)

    def said(self) -> dict[str, Check]:
        files = tuple(str(file) for file in sorted(self.files.iterdir()))
        status = ServiceStatus(True, "active", "active", 0, "login", files)
        return {check.name: check for check in service_checks.differing(status, self.settings, None, False)}


@pytest.fixture(params=["Linux", "Darwin"])
def desk(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(platform, "system", lambda: request.param)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", programs(tmp_path / "here", *NAMES))
    return Desk(tmp_path, request.param, Settings(state_directory=tmp_path / "state"))


def test_the_path_of_another_shell_is_no_change(desk: Desk, tmp_path: Path) -> None:
    desk.write(programs(tmp_path / "else where $1 100%", *NAMES))
    said = desk.said()
    assert (said["service files"].verdict, said["service files"].found) == (Verdict.OK, "as shipped")
    assert said["service path"].verdict is Verdict.OK


def test_a_path_that_leads_to_no_tmux_is_told_and_is_no_change_either(desk: Desk, tmp_path: Path) -> None:
    desk.write(programs(tmp_path / "elsewhere", "git"))
    said = desk.said()
    assert said["service files"].verdict is Verdict.OK
    assert said["service path"].verdict is Verdict.WARN
    assert said["service path"].found == "does not lead to tmux, claude, which this shell finds"
    assert said["service path"].command == "ccm-orchestrator service install"


def test_what_this_shell_does_not_find_either_is_not_the_services_fault(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "here" / "claude").unlink()
    desk.write(programs(tmp_path / "elsewhere", "git", "tmux"))
    assert desk.said()["service path"].verdict is Verdict.OK


def test_any_other_change_is_one(desk: Desk, tmp_path: Path) -> None:
    desk.write(programs(tmp_path / "elsewhere", *NAMES))
    changed = sorted(desk.files.iterdir())[0]
    changed.write_bytes(changed.read_bytes() + b"\n")
    assert desk.said()["service files"].found == f"not as shipped: {changed}"
    for file in desk.files.iterdir():
        file.write_bytes(b"<?xml nothing that we wrote")
    assert desk.said()["service files"].verdict is Verdict.WARN
