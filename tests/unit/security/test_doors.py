"""What must be true before other machines are let in."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccm_orchestrator.errors import InvalidSettings
from ccm_orchestrator.security.doors import RemoteAddress, TlsFiles, remote_address
from tests.certificates import write_certificate

NO_TLS = (None, None)


@pytest.fixture
def files(tmp_path: Path) -> TlsFiles:
    return write_certificate(tmp_path)


def test_attack_8_nothing_is_exposed_by_itself() -> None:
    assert remote_address(None, 8766, False, NO_TLS, False) is None
    assert remote_address(None, 8766, True, NO_TLS, True) is None


def test_a_door_with_tls(files: TlsFiles) -> None:
    assert remote_address("0.0.0.0", 8766, True, (files.certificate, files.key), False) == RemoteAddress(
        "0.0.0.0", 8766, files
    )


def test_a_door_without_tls_is_opened_by_saying_so() -> None:
    assert remote_address("10.0.0.7", 1, True, NO_TLS, True) == RemoteAddress("10.0.0.7", 1, None)


@pytest.mark.parametrize(
    ("host", "exposed", "plain", "words"),
    [
        ("0.0.0.0", False, True, "`serve --expose`"),
        ("::", False, True, "remote.expose"),
        ("0.0.0.0", True, False, "in the open"),
        ("example.com", True, True, "IP address"),
        ("", True, True, "IP address"),
    ],
)
def test_attack_8_a_door_that_is_half_meant_stays_shut(host: str, exposed: bool, plain: bool, words: str) -> None:
    with pytest.raises(InvalidSettings, match=words):
        remote_address(host, 8766, exposed, NO_TLS, plain)


def refused(certificate: Path | None, key: Path | None) -> str:
    with pytest.raises(InvalidSettings) as raised:
        remote_address("0.0.0.0", 8766, True, (certificate, key), True)
    return raised.value.message


def test_files_that_cannot_serve_are_found_out_before_anything_is_served(files: TlsFiles, tmp_path: Path) -> None:
    assert "TLS needs both" in refused(files.certificate, None)
    assert "TLS needs both" in refused(None, files.key)
    assert "No such file" in refused(tmp_path / "none.pem", files.key)
    assert "No such file" in refused(files.certificate, tmp_path / "none.pem")
    (tmp_path / "empty.pem").touch(0o600)
    assert "TLS cannot be served" in refused(tmp_path / "empty.pem", files.key)
    other = write_certificate(tmp_path, "other")
    assert "TLS cannot be served" in refused(files.certificate, other.key)
    locked = write_certificate(tmp_path, "locked", b"pass phrase")
    assert "pass phrase" in refused(locked.certificate, locked.key)


def test_a_key_that_everybody_can_read_is_refused(files: TlsFiles) -> None:
    files.key.chmod(0o604)
    assert "chmod o=" in refused(files.certificate, files.key)
