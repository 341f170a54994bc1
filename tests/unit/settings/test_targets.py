"""A target of notifications that cannot be used keeps nothing else from working."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccm_orchestrator.errors import InvalidSettings
from ccm_orchestrator.settings import load_settings
from ccm_orchestrator.wiring.targets import read_targets

GOOD = '[notifications.targets.good]\nurl = "json://127.0.0.1:1"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.touch(mode=0o600)
    return path


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('url = "json://x"\nquiet_hours = "night"', "quiet_hours"),
        ('url = "json://x"\nevents = ["everything"]', "events"),
        ('url = "json://x"\ncolour = "red"', "colour"),
        ('url = "json://x"\ntime_zone = "Atlantis"', "time_zone"),
        ("level = 'warning'", "needs `url` or `url_file`"),
        ('url_file = "/nowhere/at/all"', "cannot be read"),
    ],
)
def test_the_others_work_on_and_it_is_said_what_is_wrong(file: Path, table: str, words: str) -> None:
    file.write_text(f"max_agents = 3\n{GOOD}[notifications.targets.bad]\n{table}\n")
    settings = load_settings(file)
    targets = read_targets(settings.notifications)
    assert settings.max_agents == 3
    assert [target.name for target in targets.usable] == ["good"]
    assert list(targets.left_out) == ["bad"] and words in targets.left_out["bad"]


def test_a_file_that_others_can_read_costs_the_targets_in_it_only(file: Path, tmp_path: Path) -> None:
    url = tmp_path / "url"
    url.touch(mode=0o600)
    url.write_text("json://127.0.0.1:1\n")
    file.write_text(f'{GOOD}[notifications.targets.apart]\nurl_file = "{url}"\n')
    file.chmod(0o644)
    targets = read_targets(load_settings(file).notifications)
    assert [target.name for target in targets.usable] == ["apart"]
    assert "chmod 600" in targets.left_out["good"]


@pytest.mark.parametrize(
    "other", ["max_agents = 0", "[api]\nport = 'x'", "[notifications]\nwindow_s = -1", "[nothing]"]
)
def test_whatever_else_is_wrong_is_refused_as_ever(file: Path, other: str) -> None:
    file.write_text(f"{other}\n[notifications.targets.bad]\nlevel = 'loud'\n")
    with pytest.raises(InvalidSettings) as refused:
        load_settings(file)
    assert len(refused.value.__dict__["problems"]) == 2


def test_an_open_file_with_another_secret_is_refused_as_ever(file: Path) -> None:
    file.write_text(f'[supabase]\nkey = "secret"\n{GOOD}')
    file.chmod(0o644)
    with pytest.raises(InvalidSettings, match=r"supabase\.key"):
        load_settings(file)
