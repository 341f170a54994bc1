"""`update` of a daemon that launchd keeps: a `launchctl` after Apple's manuals which starts jobs, and no Mac."""

from __future__ import annotations

import json
import os
import plistlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from ccm_orchestrator import __version__
from ccm_orchestrator.demo.sandbox import free_port
from ccm_orchestrator.errors import OrchestratorError
from ccm_orchestrator.settings import Settings, load_settings
from ccm_orchestrator.setup import installed, restarting, upgrading
from ccm_orchestrator.setup.daemon_checks import holder
from ccm_orchestrator.setup.installed import Installed, Kind
from ccm_orchestrator.setup.launchd import Launchd
from ccm_orchestrator.setup.service_files import LABELS, TMUX, Installation
from tests import fake_launchctl
from tests.launching import eventually

pytestmark = [pytest.mark.tmux, pytest.mark.slow]
COMMAND = """#!/bin/sh
case "$*" in
    *--files-only) sed -i 's/<dict>/<dict><!-- {version} -->/' {agents}/*.plist ;;
    tmux-server) exec sleep 600 ;;
    *) {serve} ;;
esac
"""
"""Writes the service's files as this version has them, and serves as well as it can."""


@dataclass
class Mac:
    home: Path
    settings: Settings
    launchd: Launchd

    @property
    def place(self) -> Path:
        """The environment that is updated."""
        return self.home / "venv"

    def install(self, version: str, serve: str) -> None:
        command = self.place / "bin" / "ccm-orchestrator"
        command.parent.mkdir(parents=True, exist_ok=True)
        command.write_text(COMMAND.format(version=version, agents=self.home / "LaunchAgents", serve=serve))
        command.chmod(0o755)

    def daemon(self) -> int | None:
        held = holder(self.settings.state_directory)
        return None if held is None or held.passing else held.pid

    def pid_of(self, job: str) -> int:
        jobs = json.loads((self.home / "jobs").read_text())
        return int(jobs[f"gui/{os.getuid()}/{LABELS[job]}"]["pid"])

    def files(self) -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in (self.home / "LaunchAgents").iterdir()}


SERVES = f'exec "{sys.executable}" -m ccm_orchestrator "$@"'


@pytest.fixture
def mac(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mac]:
    """Its daemon was installed as a service, and answers."""
    programs = tmp_path / "bin"
    programs.mkdir()
    program = programs / "launchctl"
    jobs = f'"{tmp_path / "jobs"}" "$@"'
    program.write_text(f'#!/bin/sh\nCCM_FAKE_RUNS=1 exec "{sys.executable}" -E -S "{fake_launchctl.__file__}" {jobs}\n')
    program.chmod(0o755)
    config = tmp_path / "config.toml"
    state, port = tmp_path / "state", free_port()
    config.write_text(
        f'state_directory = "{state}"\n[api]\nport = {port}\n[tmux]\nsocket_name = "launchd-{port}"\n'
    )  # fmt: skip
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    settings = load_settings(config)
    installation = Installation(
        tmp_path / "venv/bin/ccm-orchestrator", "anna", tmp_path, os.environ["PATH"], config, state
    )
    mac = Mac(tmp_path, settings, Launchd(installation, tmp_path / "LaunchAgents"))
    mac.install(__version__, SERVES)
    (state / "logs").mkdir(parents=True, mode=0o700)
    state.chmod(0o700)
    mac.launchd.install()
    monkeypatch.setattr(restarting, "_managers", lambda *_: iter([(False, mac.launchd)]))
    monkeypatch.setattr(restarting, "READY_S", 20.0)
    monkeypatch.setattr(upgrading, "installed", lambda: Installed(Kind.PIP, mac.place))
    try:
        eventually(mac.daemon, "a daemon")
        restarting.wait_ready(settings, None)
        yield mac
    finally:
        mac.launchd.uninstall(with_agents=True)


def offer(mac: Mac, monkeypatch: pytest.MonkeyPatch, version: str, serve: str) -> None:
    monkeypatch.setattr(installed.Installed, "install", lambda *_: mac.install(version, serve))


def test_the_next_version_is_begun_and_its_files_wait_for_the_next_login(
    mac: Mac, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(mac, monkeypatch, "99.1.0", SERVES)
    before, tmux, said = mac.daemon(), mac.pid_of(TMUX), list[str]()
    upgrading.carry_out(mac.settings, None, "99.1.0", said.append)
    assert said[1].startswith("Installed 99.1.0") and said[-1].endswith("and is ready. Agents went on.")
    assert all(b"99.1.0" in text and plistlib.loads(text) for text in mac.files().values())
    assert mac.daemon() not in (None, before)
    assert mac.pid_of(TMUX) == tmux and psutil.pid_exists(tmux)


def test_one_that_does_not_get_ready_is_taken_back(mac: Mac, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restarting, "READY_S", 4.0)
    offer(mac, monkeypatch, "99.2.0", "exit 1")
    before, files, tmux, said = mac.daemon(), mac.files(), mac.pid_of(TMUX), list[str]()

    def then(sentence: str) -> None:
        said.append(sentence)
        if "does not get ready" in sentence:  # what serves again needs its time
            monkeypatch.setattr(restarting, "READY_S", 20.0)

    with pytest.raises(OrchestratorError, match=r"is in place again; 99\.2\.0 did not get ready"):
        upgrading.carry_out(mac.settings, None, "99.2.0", then)
    assert said[-1] == f"The daemon of {__version__} is ready. Agents went on."
    assert mac.files() == files and mac.daemon() not in (None, before)
    assert mac.pid_of(TMUX) == tmux and psutil.pid_exists(tmux)
