"""Secret files: made whole, private, believed only when nobody else could have touched them."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ccm_orchestrator.errors import InvalidSettings
from ccm_orchestrator.security.secrets import Secret, find_secret, load_local_secrets, load_or_create, read_secret


def test_first_start_makes_private_files_of_256_bits_which_later_starts_read(tmp_path: Path) -> None:
    first, second = load_local_secrets(tmp_path), load_local_secrets(tmp_path)
    assert first.api_token.reveal() == second.api_token.reveal() != first.internal.reveal()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["api-token", "internal-secret"]
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert len(path.read_text().strip()) * 6 >= 256


def test_starts_at_the_same_time_agree_on_one_secret(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as threads:
        found = set(threads.map(lambda _: load_or_create(tmp_path / "api-token").reveal(), range(64)))
    assert len(found) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["api-token"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_file_that_others_may_open_is_not_believed(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "api-token"
    load_or_create(path)
    path.chmod(mode)
    with pytest.raises(InvalidSettings, match="open to other users: delete it"):
        read_secret(path)


@pytest.mark.parametrize("content", ["", "\n", "short", "x" * 42, "x" * 40 + "\x00\x01\x02\x03\x04"])
def test_a_weak_or_broken_secret_is_not_believed(tmp_path: Path, content: str) -> None:
    path = tmp_path / "api-token"
    path.touch(0o600)
    path.write_text(content)
    with pytest.raises(InvalidSettings, match="shorter than 256 bits"):
        read_secret(path)


def test_a_directory_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"Cannot create the secret file .*/nowhere/api-token: No such file"):
        load_or_create(tmp_path / "nowhere" / "api-token")


@pytest.mark.parametrize("candidate", [None, "", "canar", "canary ", "Canary", "ünïcode", "\ud800"])
def test_only_the_whole_secret_matches(candidate: str | None) -> None:
    assert not Secret("canary").matches(candidate)
    assert Secret("canary").matches("canary")


def test_a_secret_does_not_print(tmp_path: Path) -> None:
    secrets = load_local_secrets(tmp_path)
    shown = f"{secrets} {secrets!r} {secrets.api_token} {[secrets.internal]}"
    assert secrets.api_token.reveal() not in shown and secrets.internal.reveal() not in shown


def test_run_tokens_differ_by_run_and_outlive_the_daemon(tmp_path: Path) -> None:
    before, after = load_local_secrets(tmp_path), load_local_secrets(tmp_path)
    assert before.run_token("a" * 32) == after.run_token("a" * 32) != before.run_token("b" * 32)
    assert len(before.run_token("a" * 32)) == 64


class TestGiven:
    def test_the_setting_beats_the_file_beats_systemd(self, tmp_path: Path) -> None:
        file, handed = tmp_path / "key", tmp_path / "supabase-key"
        for path in (file, handed):
            path.touch(0o600)
            path.write_text(f" {path.name} \n")
        handed.chmod(0o440)
        found = [
            find_secret(value, given, "supabase-key", tmp_path)
            for value, given in (("value", file), (None, file), (None, None))
        ]
        assert [secret.reveal() for secret in found if secret] == ["value", "key", "supabase-key"]
        assert find_secret(None, None, "supabase-other", tmp_path) is None
        assert find_secret(None, None, "supabase-key", None) is None

    def test_a_file_that_others_may_open_is_not_believed(self, tmp_path: Path) -> None:
        path = tmp_path / "key"
        path.touch(0o640)
        with pytest.raises(InvalidSettings, match=f"open to other users: `chmod 600 {path}`"):
            find_secret(None, path, "supabase-key", None)

    def test_a_file_that_is_empty_or_not_there_is_told(self, tmp_path: Path) -> None:
        path = tmp_path / "key"
        with pytest.raises(InvalidSettings, match=f"Cannot read the secret file {path}: No such file"):
            find_secret(None, path, "supabase-key", None)
        path.touch(0o600)
        with pytest.raises(InvalidSettings, match="is empty"):
            find_secret(None, path, "supabase-key", None)
