"""The services as launchd would keep them, with a `launchctl` that knows what Apple's manuals say, and no Mac."""

from __future__ import annotations

import json
import os
import plistlib
import sys
from pathlib import Path

import pytest

from ccm_orchestrator.errors import OrchestratorError
from ccm_orchestrator.setup.launchd import Launchd
from ccm_orchestrator.setup.service_files import DAEMON, LABELS, TMUX, Installation, launch_agents
from tests import fake_launchctl

DOMAIN = f"gui/{os.getuid()}"


class Mac:
    def __init__(self, directory: Path) -> None:
        self.jobs_file = directory / "jobs.json"
        self.agents = directory / "LaunchAgents"
        self.installation = Installation(directory / "ccm-orchestrator", "anna", directory, "/usr/bin")

    def launchd(self, installation: Installation | None = None) -> Launchd:
        return Launchd(installation or self.installation, self.agents)

    @property
    def jobs(self) -> dict[str, int]:
        """How often each was started."""
        loaded = json.loads(self.jobs_file.read_text()) if self.jobs_file.exists() else {}
        return {target.removeprefix(f"{DOMAIN}/"): job["starts"] for target, job in loaded.items()}


@pytest.fixture
def mac(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mac:
    mac = Mac(tmp_path)
    program = tmp_path / "bin" / "launchctl"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -E -S "{fake_launchctl.__file__}" "{mac.jobs_file}" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return mac


def test_both_jobs_are_loaded_once_and_what_differs_is_loaded_anew(mac: Mac) -> None:
    launchd = mac.launchd()
    assert launchd.status().daemon == "not installed"
    assert len(launchd.install()) == 2
    assert mac.jobs == {LABELS[TMUX]: 1, LABELS[DAEMON]: 1} and list(mac.jobs) == [LABELS[TMUX], LABELS[DAEMON]]
    status = launchd.status()
    assert (status.installed, status.daemon, status.tmux, status.starts_with) == (True, "active", "active", "login")
    assert launchd.install() == []
    moved = Installation(Path("/opt/ccm-orchestrator"), "anna", mac.installation.home, "/usr/bin")
    assert all(said.startswith("Wrote and loaded") for said in mac.launchd(moved).install())
    values = plistlib.loads((mac.agents / f"{LABELS[DAEMON]}.plist").read_bytes())
    assert values["ProgramArguments"] == ["/opt/ccm-orchestrator", "serve"] and len(mac.jobs) == 2


def test_a_job_that_somebody_unloaded_is_loaded_again(mac: Mac) -> None:
    mac.launchd().install()
    mac.jobs_file.write_text("{}")
    assert [said.partition(" ")[0] for said in mac.launchd().install()] == ["Loaded", "Loaded"]
    assert len(mac.jobs) == 2


def test_a_restart_is_of_the_daemon_alone_and_agents_stay_unless_told(mac: Mac) -> None:
    launchd = mac.launchd()
    with pytest.raises(OrchestratorError, match="Could not find service"):
        launchd.restart()
    launchd.install()
    launchd.restart()
    assert mac.jobs == {LABELS[TMUX]: 1, LABELS[DAEMON]: 2}
    launchd.uninstall(with_agents=False)
    assert mac.jobs == {LABELS[TMUX]: 1}
    launchd.install()
    launchd.uninstall(with_agents=True)
    assert mac.jobs == {} and list(mac.agents.iterdir()) == []


@pytest.mark.parametrize("name", [DAEMON, TMUX])
def test_the_property_lists_have_nothing_that_the_manual_does_not_have(mac: Mac, name: str) -> None:
    values = plistlib.loads(launch_agents(mac.installation)[f"{LABELS[name]}.plist"])
    assert fake_launchctl.faults(values) == []
    for wrong in ({"KeepAlife": True}, {"ThrottleInterval": "10"}, {"ProcessType": "Quiet"}, {"Label": ""}):
        assert fake_launchctl.faults(values | wrong)
