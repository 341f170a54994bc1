"""Where values come from, and which of them wins."""

import dataclasses
from pathlib import Path

import pytest

from ccm_orchestrator.domain.profiles import BUILT_IN, PermissionMode, Profile
from ccm_orchestrator.domain.run import Mode
from ccm_orchestrator.errors import InvalidSettings
from ccm_orchestrator.settings import config_path, load_settings
from ccm_orchestrator.settings.profiles import ProfileTable
from ccm_orchestrator.settings.sources import read_project_file, unknown_variables


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    path = tmp_path / "ccm-orchestrator" / "config.toml"
    path.parent.mkdir()
    return path


def test_without_anything_the_defaults_hold(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    settings = load_settings()
    assert settings.state_directory == tmp_path / "ccm-orchestrator"
    assert settings.api_url == "http://127.0.0.1:8765"
    assert settings.profiles() == {profile.name: profile for profile in BUILT_IN}


def test_flag_beats_environment_beats_file_beats_default(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert config_path() == file
    file.write_text("max_agents = 2\n[api]\nport = 2222\nhost = '::1'")
    assert load_settings().max_agents == 2
    monkeypatch.setenv("CCM_MAX_AGENTS", "3")
    monkeypatch.setenv("CCM_API__PORT", "3333")
    settings = load_settings()
    assert (settings.max_agents, settings.api_url) == (3, "http://[::1]:3333")
    settings = load_settings(flags={"max_agents": 4, "api": {"port": 4444}})
    assert (settings.max_agents, settings.api_url) == (4, "http://[::1]:4444")


def test_another_file_replaces_the_users(file: Path, tmp_path: Path) -> None:
    file.write_text("max_agents = 2\nqueue_limit = 2")
    other = tmp_path / "other.toml"
    other.write_text("max_agents = 5")
    settings = load_settings(other)
    assert (settings.max_agents, settings.queue_limit) == (5, 100)


def test_lists_and_profiles_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CCM_CLAUDE__ENVIRONMENT", "FOO, BAR")
    monkeypatch.setenv("CCM_PROFILES__MINE__ALLOWED_TOOLS", '["Read", "Bash(git *)"]')
    monkeypatch.setenv("CCM_PROFILES__MINE__MODEL", "opus")
    settings = load_settings()
    assert settings.claude.environment == ("FOO", "BAR")
    assert settings.profiles()["mine"] == Profile("mine", model="opus", allowed_tools=("Read", "Bash(git *)"))


def test_a_home_directory_is_expanded(file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    file.write_text("state_directory = '~/state'")
    assert load_settings().state_directory == tmp_path / "state"


def test_profiles_change_single_fields(file: Path) -> None:
    file.write_text("""
        [profiles.executor]
        time_limit_s = 0
        permission_mode = "dontAsk"
        [profiles.new]
        mode = "print"
        budget_usd = 1.5
    """)
    profiles = load_settings().profiles()
    executor = Profile("executor", time_limit_s=None, permission_mode=PermissionMode.DONT_ASK)
    assert profiles["executor"] == executor
    assert profiles["new"] == Profile("new", mode=Mode.PRINT, budget_usd=1.5)
    assert profiles["planning"] in BUILT_IN


def test_every_field_of_a_profile_can_be_configured() -> None:
    assert set(ProfileTable.model_fields) == {field.name for field in dataclasses.fields(Profile)} - {"name"}


def test_agents_inherit_the_variables_that_are_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("claude.environment = ['CARGO_HOME', 'NOT_SET', 'EDITOR']\n[profiles.executor.env]\nEDITOR = 'ed'")
    monkeypatch.setenv("CARGO_HOME", "/cargo")
    monkeypatch.setenv("EDITOR", "vi")
    monkeypatch.delenv("NOT_SET", raising=False)
    profiles = load_settings().profiles()
    assert profiles["executor"].env == {"CARGO_HOME": "/cargo", "EDITOR": "ed"}
    assert profiles["brain"].env == {"CARGO_HOME": "/cargo", "EDITOR": "vi"}


def test_a_project_may_set_defaults_of_profiles(file: Path, tmp_path: Path) -> None:
    (tmp_path / ".ccm-orchestrator.toml").write_text("[profiles.executor]\nmodel = 'haiku'\nend_marker = true")
    file.write_text("[profiles.executor]\nmodel = 'opus'")
    profiles = load_settings().profiles(read_project_file(tmp_path))
    assert (profiles["executor"].model, profiles["executor"].end_marker) == ("opus", True)


@pytest.mark.parametrize("line", ["permission_mode = 'bypassPermissions'", "env = { A = 'b' }", "command = ['x']"])
def test_a_project_gives_no_rights(tmp_path: Path, line: str) -> None:
    (tmp_path / ".ccm-orchestrator.toml").write_text(f"[profiles.executor]\n{line}")
    with pytest.raises(InvalidSettings, match=r"unknown key `profiles\.executor\."):
        read_project_file(tmp_path)


def test_a_project_sets_nothing_else(tmp_path: Path) -> None:
    (tmp_path / ".ccm-orchestrator.toml").write_text("max_agents = 100")
    with pytest.raises(InvalidSettings, match=r"unknown key `max_agents` in .*\.ccm-orchestrator\.toml"):
        read_project_file(tmp_path)


def test_a_project_without_a_file_changes_nothing(tmp_path: Path) -> None:
    assert read_project_file(tmp_path) == {}


def test_variables_that_no_key_reads_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CCM_MAX_AGENT", "3")
    monkeypatch.setenv("CCM_MAX_AGENTS", "3")
    monkeypatch.setenv("CCM_PROFILES__X__MODEL", "opus")
    found = unknown_variables()
    assert "CCM_MAX_AGENT" in found
    assert not {"CCM_MAX_AGENTS", "CCM_PROFILES__X__MODEL"} & set(found)
