"""Whatever is wrong with the configuration is said in one sentence that names the key, the value and the place."""

from pathlib import Path

import pytest

from ccm_orchestrator.errors import InvalidSettings
from ccm_orchestrator.settings import load_settings


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path / "c.toml"


def said(file: Path, text: str) -> str:
    file.write_text(text)
    with pytest.raises(InvalidSettings) as caught:
        load_settings(file)
    return caught.value.message.replace(str(file), "FILE")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("poll_interval_s = -1", "expected `poll_interval_s` to be a positive number, got: -1, in FILE"),
        ("poll_interval_s = 0", "expected `poll_interval_s` to be a positive number, got: 0, in FILE"),
        ("lease_s = nan", "expected `lease_s` to be a positive number, got: nan, in FILE"),
        ("watchdog_s = inf", "expected `watchdog_s` to be a positive number, got: inf, in FILE"),
        ("max_agents = 1.5", "expected `max_agents` to be a whole number of at least 1, got: 1.5, in FILE"),
        ("max_agents = true", "expected `max_agents` to be a whole number of at least 1, got: true, in FILE"),
        ("queue_limit = 'many'", "expected `queue_limit` to be a whole number of at least 1, got: 'many', in FILE"),
        ("[api]\nport = 99999", "expected `api.port` to be a whole number from 1 to 65535, got: 99999, in FILE"),
        ("[api]\nhost = ''", "expected `api.host` to be a text that is not empty, got: '', in FILE"),
        (
            "[traces]\nendpoint = 'http://me:word@far.example/v1?key=word'",
            "expected `traces.endpoint` to be a URL without a query (https, or http on loopback), "
            "got: 'http://(hidden)@far.example/v1?(hidden)', in FILE",
        ),
        ("supabase = 'sb_secret_1'", "expected `supabase` to be a table, got: a text, in FILE"),
        ("api = 3", "expected `api` to be a table, got: 3, in FILE"),
        ("[retry]\njitter = 2", "expected `retry.jitter` to be a number from 0 to 1, got: 2, in FILE"),
        ("[backups]\nkeep = -1", "expected `backups.keep` to be a whole number of at least 0, got: -1, in FILE"),
        (
            "[log]\nlevel = 'loud'",
            "expected `log.level` to be one of `debug`, `info`, `warning`, `error`, got: 'loud', in FILE",
        ),
        (
            "state_directory = 'here'",
            "expected `state_directory` to be an absolute path (`~` is fine), got: 'here', in FILE",
        ),
        (
            "[tmux]\nsocket_name = '../x'",
            "expected `tmux.socket_name` to be a name of 1 to 32 letters, digits, `-` and `_` that begins with a "
            "letter or digit, got: '../x', in FILE",
        ),
        (
            "[claude]\nenvironment = ['A B']",
            'expected `claude.environment` to be a list of names of environment variables, such as ["HTTPS_PROXY"], '
            "got: 'A B', in FILE",
        ),
        ("[profiles.a]\nmode = 'x'", "expected `profiles.a.mode` to be `interactive` or `print`, got: 'x', in FILE"),
        (
            "[profiles.a]\nbudget_usd = -1",
            "expected `profiles.a.budget_usd` to be a positive number, or 0 for none, got: -1, in FILE",
        ),
        (
            "[profiles.'a b']\nmode = 'print'",
            "expected the name in `profiles.a b` to be a name of 1 to 32 letters, digits, `-` and `_` that begins with "
            "a letter or digit, in FILE",
        ),
        (
            "[profiles.g]\ndriver = 'generic'",
            "expected `profiles.g.command` to be set, because its driver is `generic`, in FILE",
        ),
        (
            "lease_s = 30",
            "expected `renew_interval_s` to be at most a third of `lease_s` (10), got: 20, in FILE",
        ),
        (
            "[retry]\nfirst_delay_s = 1000",
            "expected `retry.longest_delay_s` to be at least `retry.first_delay_s` (1000), got: 900, in FILE",
        ),
    ],
)
def test_a_bad_value(file: Path, text: str, sentence: str) -> None:
    assert said(file, text) == sentence


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("poll_interval = 1", "unknown key `poll_interval` in FILE; did you mean `poll_interval_s`?"),
        ("port = 1", "unknown key `port` in FILE; did you mean `api.port`?"),
        ("[api]\nprot = 1", "unknown key `api.prot` in FILE; did you mean `api.port`?"),
        ("[profile.executor]\nmode = 'print'", "unknown key `profile` in FILE; did you mean `profiles`?"),
        (
            "[profiles.mine]\nmodell = 'x'",
            "unknown key `profiles.mine.modell` in FILE; did you mean `profiles.mine.model`?",
        ),
        ("zzz = 1", "unknown key `zzz` in FILE"),
    ],
)
def test_an_unknown_key(file: Path, text: str, sentence: str) -> None:
    assert said(file, text) == sentence


def test_everything_that_is_wrong_is_said_at_once(file: Path) -> None:
    assert len(said(file, "max_agents = 0\nqueue_limit = 0\nnix = 0").splitlines()) == 3


def test_a_secret_is_not_shown(file: Path) -> None:
    assert "hunter2" not in said(file, "[profiles.a]\nenv = ['hunter2']")
    file.write_text("[profiles.a]\nenv = { TOKEN = 'hunter2' }")
    settings = load_settings(file)
    assert settings.profiles()["a"].env == {"TOKEN": "hunter2"}
    assert "hunter2" not in repr(settings) + repr(settings.profiles())


def test_a_file_that_is_no_toml(file: Path) -> None:
    assert said(file, "a = [").startswith("the configuration file FILE is not valid TOML: ")


def test_a_file_that_is_no_text(file: Path) -> None:
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidSettings, match="is not valid TOML"):
        load_settings(file)


def test_a_file_that_is_not_there(file: Path) -> None:
    with pytest.raises(InvalidSettings, match="does not exist"):
        load_settings(file)


def test_a_file_that_is_a_directory(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="cannot be read: Is a directory"):
        load_settings(tmp_path)


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        (
            "CCM_API__PORT",
            "x",
            "expected `api.port` to be a whole number from 1 to 65535, got: 'x', "
            "in the environment variable CCM_API__PORT",
        ),
        (
            "CCM_API__PROT",
            "1",
            "unknown key `api.prot` in the environment variable CCM_API__PROT; did you mean `api.port`?",
        ),
        (
            "CCM_LEASE_S",
            "30",
            "expected `renew_interval_s` to be at most a third of `lease_s` (10), got: 20, "
            "in the environment variable CCM_LEASE_S",
        ),
    ],
)
def test_a_bad_variable(file: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, sentence: str) -> None:
    monkeypatch.setenv(variable, value)
    assert said(file, "") == sentence


def test_a_bad_flag(file: Path) -> None:
    file.write_text("max_agents = 3")
    with pytest.raises(InvalidSettings, match="got: 0, in the command line"):
        load_settings(file, {"max_agents": 0})
