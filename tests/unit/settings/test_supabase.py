"""The table of the Supabase project: its address is checked, its secrets are never shown."""

from pathlib import Path

import pytest

from ccm_orchestrator.cli.commands.configuration import effective
from ccm_orchestrator.errors import InvalidSettings
from ccm_orchestrator.settings import Settings, load_settings
from ccm_orchestrator.settings.problems import secret_keys, shown

SECRETS = {
    "CCM_SUPABASE__KEY": "sb_secret_canary",
    "CCM_SUPABASE__SYSTEM_TOKEN": "canary.canary.canary",
    "CCM_SUPABASE__JWT_SECRET": "canary" * 10,
}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    path = tmp_path / "c.toml"
    path.touch(0o600)
    return path


def said(file: Path) -> str:
    with pytest.raises(InvalidSettings) as caught:
        load_settings(file)
    return caught.value.message.replace(str(file), "FILE")


def test_without_a_url_there_is_no_project() -> None:
    assert load_settings().supabase.url is None


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://project.supabase.co", "https://project.supabase.co"),
        ("https://project.supabase.co/", "https://project.supabase.co"),
        ("https://example.com:8443/supabase/", "https://example.com:8443/supabase"),
        ("http://127.0.0.1:54321", "http://127.0.0.1:54321"),
        ("http://[::1]:54321", "http://[::1]:54321"),
        ("http://localhost:54321", "http://localhost:54321"),
    ],
)
def test_a_project_is_reached_by_https_or_on_loopback(url: str, kept: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CCM_SUPABASE__URL", url)
    assert load_settings().supabase.url == kept


@pytest.mark.parametrize(
    "url",
    [
        "",
        "project",
        "project.supabase.co",
        "http://project.supabase.co",
        "http://127.0.0.1.evil.com",
        "http://localhost.evil.com",
        "ftp://project.supabase.co",
        "https://",
        "https://user:password@project.supabase.co",
        "https://project.supabase.co?apikey=x",
        "https://project.supabase.co#x",
        "https://project.supabase.co:port",
        "https://project.supabase.co:0",
        "https://project.supabase.co/rest/v1",
        "https://supabase.com/dashboard/project/abc",
        "https://pro ject.supabase.co",
        "https://[::1",
    ],
)
def test_anything_else_is_no_address_of_a_project(url: str, file: Path) -> None:
    file.write_text(f"[supabase]\nurl = '{url}'")
    assert said(file) == (
        "expected `supabase.url` to be the URL of a project, such as `https://PROJECT.supabase.co` (https, or http on "
        f"loopback), got: {shown(url)}, in FILE"
    )
    assert "password" not in said(file) and "apikey" not in said(file)


def test_the_slow_look_is_not_quicker_than_the_quick_one(file: Path) -> None:
    file.write_text("[supabase]\nsweep_degraded_s = 30")
    assert "to be at most `supabase.sweep_live_s` (20), got: 30, in FILE" in said(file)


def test_the_secrets_are_these() -> None:
    supabase = {"supabase.key", "supabase.system_token", "supabase.jwt_secret"}
    assert secret_keys(Settings) == supabase | {"notifications.targets.NAME.url"}


def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert settings.supabase.key is not None
    assert settings.supabase.key.get_secret_value() == SECRETS["CCM_SUPABASE__KEY"]
    shown = effective(settings)
    assert shown["supabase"]["key"] == shown["supabase"]["jwt_secret"] == "(hidden)"
    for text in (repr(settings), str(settings), str(shown), settings.model_dump_json(), str(settings.model_dump())):
        assert "canary" not in text


def test_a_secret_of_the_wrong_kind_is_not_quoted(file: Path) -> None:
    file.write_text("[supabase]\nkey = ['canary']")
    with pytest.raises(InvalidSettings) as caught:
        load_settings(file)
    assert caught.value.message == f"expected `supabase.key` to be a text that is not empty, got: (hidden), in {file}"
    assert "canary" not in str(caught.value.__cause__)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620])
def test_a_file_with_a_secret_that_others_may_open_is_refused(file: Path, mode: int) -> None:
    file.write_text("[supabase]\nkey = 'sb_secret_canary'")
    assert load_settings(file).supabase.key is not None
    file.chmod(mode)
    assert said(file) == (
        "the configuration file FILE holds the secret `supabase.key` and is open to other users: `chmod 600 FILE`"
    )


def test_a_file_without_a_secret_may_be_open(file: Path) -> None:
    file.write_text("[supabase]\nurl = 'https://project.supabase.co'\nkey_file = '/run/key'")
    file.chmod(0o644)
    assert load_settings(file).supabase.key_file == Path("/run/key")
