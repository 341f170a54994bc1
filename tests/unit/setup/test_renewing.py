"""The service's files under an update: written anew by the next version, left alone where a person changed them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ccm_orchestrator.errors import InputError
from ccm_orchestrator.setup.launchd import Launchd
from ccm_orchestrator.setup.renewing import FormerFiles
from ccm_orchestrator.setup.service_files import Installation, path_in, systemd_units
from ccm_orchestrator.setup.services import ServiceManager
from ccm_orchestrator.setup.systemd import Systemd
from tests import fake_launchctl

Keeper = Callable[[Installation], ServiceManager]
CALLS = "calls"


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """With managers that say yes to everything, and a command of the next version that knows how to write files."""
    programs = tmp_path / "bin"
    programs.mkdir()
    jobs = f'"{sys.executable}" -E -S "{fake_launchctl.__file__}" "{tmp_path / "jobs"}" "$@"'
    for name, body in (("systemctl", f'echo "$@" >>{tmp_path / CALLS}'), ("loginctl", ":"), ("launchctl", jobs)):
        (programs / name).write_text(f"#!/bin/sh\n{body}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    return Installation(tmp_path / "ccm-orchestrator", "anna", tmp_path, '/opt/100%/$b/"c":/usr/bin')


@pytest.fixture(params=["systemd", "launchd"])
def keeper(request: pytest.FixtureRequest, tmp_path: Path) -> Keeper:
    if request.param == "launchd":
        return lambda installation: Launchd(installation, tmp_path / "files")
    return lambda installation: Systemd(installation, False, tmp_path / "files")


def next_version(installation: Installation, body: str) -> Path:
    installation.executable.write_text(f"#!/bin/sh\n{body}\n")
    installation.executable.chmod(0o755)
    return installation.executable


def contents(there: Installation) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (there.home / "files").iterdir()}


def test_the_next_version_writes_them_with_the_path_that_is_in_them_and_they_can_be_put_back(
    there: Installation, keeper: Keeper, tmp_path: Path
) -> None:
    keeper(there).install()
    before = contents(there)
    files = FormerFiles(keeper(replace(there, path="/of/another/shell")))
    body = f'echo "$*" >{tmp_path / "asked"}; echo "$PATH" >>{tmp_path / "asked"}; for f in {tmp_path}/files/*daemon* '
    command = next_version(there, body + f'{tmp_path}/files/ccm-orchestrator.service; do echo x >>"$f"; done')
    said = files.renew(command)
    assert (tmp_path / "asked").read_text() == f"service install --files-only\n{there.path}\n"
    assert said is not None and said.startswith("It wrote the service's files anew: ")
    assert contents(there) != before
    files.put_back()
    assert {name: contents(there)[name] for name in before} == before


def test_nothing_is_said_where_nothing_differs(there: Installation, keeper: Keeper) -> None:
    keeper(there).install()
    assert FormerFiles(keeper(there)).renew(next_version(there, ":")) is None


def test_what_a_person_changed_stays(there: Installation, keeper: Keeper, tmp_path: Path) -> None:
    keeper(there).install()
    changed = Path(keeper(there).status().files[0])
    changed.write_bytes(changed.read_bytes().replace(b"/usr/bin", b"/usr/bin:/mine").replace(b"</plist>", b"</plist> "))
    changed.write_bytes(changed.read_bytes().replace(b"RestartSec=1\n", b"RestartSec=9\n"))
    files = FormerFiles(keeper(there))
    said = files.renew(next_version(there, f"touch {tmp_path}/called"))
    assert said is not None and "changed by hand" in said and not (tmp_path / "called").exists()


def test_a_version_that_cannot_write_them_changes_nothing(there: Installation, keeper: Keeper) -> None:
    keeper(there).install()
    before = contents(there)
    said = FormerFiles(keeper(there)).renew(next_version(there, "echo 'No such option: --files-only' >&2; exit 2"))
    assert said == "The service's files stay as they were: No such option: --files-only"
    assert contents(there) == before


def test_files_alone_begin_nothing(there: Installation, keeper: Keeper, tmp_path: Path) -> None:
    assert len(keeper(there).write_files()) == 2 and keeper(there).write_files() == []
    asked = (tmp_path / CALLS).read_text() if (tmp_path / CALLS).exists() else ""
    assert "start" not in asked and "enable" not in asked and not (tmp_path / "jobs").exists()


@pytest.mark.parametrize("path", ["/usr/bin", '/opt/100%/$b/"c\\d":/usr/bin'])
def test_the_path_is_read_as_it_was_written(there: Installation, path: str) -> None:
    for text in systemd_units(replace(there, path=path), False).values():
        assert path_in(text) == path
    assert path_in("[Service]\n") is None


def test_an_update_ends_before_it_begins_where_the_services_are_not_ours(
    there: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Systemd(there, True, tmp_path).write_files()
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(InputError, match="run it with sudo"):
        FormerFiles(Systemd(there, True, tmp_path))
