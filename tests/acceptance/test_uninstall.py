"""`uninstall`: what goes, what stays, and what is refused. The services are systemd's own in tests/services."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from ccm_orchestrator.adapters.state_lock import StateLock
from ccm_orchestrator.demo.sandbox import Sandbox
from ccm_orchestrator.errors import InputError, OrchestratorError
from ccm_orchestrator.settings import Settings
from ccm_orchestrator.setup.removal import data_of, purge, require_no_daemon
from tests.acceptance.worlds import wait_status, world


def tmux_answers(sandbox: Sandbox) -> bool:
    return subprocess.run(sandbox.tmux("has-session"), env=sandbox.env, capture_output=True).returncode == 0


@pytest.mark.claude
def test_agents_and_data_stay_unless_told_and_then_all_of_it_goes() -> None:
    with world() as sandbox:
        sandbox.start_daemon()
        task = sandbox.insert_task("Note the date. [scenario:ask-permission]", project="sample", profile="careful")
        wait_status(sandbox, task, "waiting")
        told = sandbox.run("uninstall", "--yes", "--json")
        assert json.loads(told.stdout)["done"] == [] and sandbox.state.exists()
        shown = sandbox.run("uninstall", "--dry-run", "--with-agents", "--purge").stdout
        assert f"Remove {sandbox.state}" in shown and "End 1 agents: ccm-" in shown
        assert "End the tmux server, unless" in shown
        alone = sandbox.run("uninstall", check=False)
        assert alone.returncode == 2 and "nobody to ask" in alone.stderr
        refused = sandbox.run("uninstall", "--yes", "--purge", check=False)
        assert refused.returncode == 2 and "add --with-agents" in refused.stderr
        halfway = sandbox.run("uninstall", "--yes", "--purge", "--with-agents", check=False)
        assert halfway.returncode == 1 and "A daemon still runs" in halfway.stderr and sandbox.state.exists()
        sandbox.stop_daemon()
        subprocess.run(sandbox.tmux("new-window", "-d", "sleep 600"), env=sandbox.env, check=True)
        kept = sandbox.run("uninstall", "--yes", "--with-agents").stdout
        assert "Left the tmux server at" in kept and tmux_answers(sandbox)
        subprocess.run(sandbox.tmux("kill-window", "-t", "{end}"), env=sandbox.env, check=True)
        done = sandbox.run("uninstall", "--yes", "--purge", "--with-agents")
        assert "Ended the tmux server at" in done.stdout and not tmux_answers(sandbox)
        assert f"Removed {sandbox.state}." in done.stdout
        assert not sandbox.state.exists() and not (sandbox.home / ".config" / "ccm-orchestrator").exists()
        assert sandbox.project.is_dir()


def test_the_whole_state_directory_goes_and_of_a_configuration_elsewhere_that_file(tmp_path: Path) -> None:
    state, config = tmp_path / "state", tmp_path / "ccm.toml"
    state.mkdir()
    assert data_of(Settings(state_directory=state), config) == [state]
    (state / "ccm.db").touch()
    config.touch()
    assert data_of(Settings(state_directory=state), config) == [config, state]


@pytest.mark.parametrize("where", ["home", "parent", "link", "stranger"])
def test_a_directory_that_is_not_ours_is_never_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    home = tmp_path / "home"
    (home / "photos").mkdir(parents=True)
    (home / "ccm.db").touch()
    (tmp_path / "link").symlink_to(home)
    monkeypatch.setenv("HOME", str(home))
    state = {"home": home, "parent": tmp_path, "link": tmp_path / "link", "stranger": home / "stranger"}[where]
    state.mkdir(exist_ok=True)
    (state / "something").touch()
    with pytest.raises(InputError, match=str(state)):
        data_of(Settings(state_directory=state), None)


def test_nothing_is_removed_below_a_daemon(tmp_path: Path) -> None:
    settings = Settings(state_directory=tmp_path)
    with StateLock(tmp_path), pytest.raises(OrchestratorError, match="A daemon still runs"):
        require_no_daemon(settings)
    require_no_daemon(settings)


def test_what_is_gone_already_is_no_trouble_and_what_cannot_go_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.toml").touch()
    assert purge([tmp_path / "config.toml", tmp_path / "gone"]) == [
        f"Removed {tmp_path / 'config.toml'}.",
        f"Removed {tmp_path / 'gone'}.",
    ]
    with pytest.raises(OrchestratorError, match="cannot be removed"):
        purge([Path(os.devnull) / "below"])
