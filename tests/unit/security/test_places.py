"""State directories that another user of the machine has prepared."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from ccm_orchestrator.errors import InvalidSettings
from ccm_orchestrator.security.places import anothers, make_private

NOBODY = 65_534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=[0o000, 0o022])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def test_it_and_its_parents_are_ours_alone_under_any_umask(tmp_path: Path, umask: None) -> None:
    place = tmp_path / "local" / "state" / "ccm"
    make_private(place)
    make_private(place)
    assert [mode(path) for path in (place, place.parent, place.parent.parent)] == [0o700] * 3


def test_one_that_was_open_is_closed(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    make_private(tmp_path)
    assert mode(tmp_path) == 0o700


def test_a_link_of_our_own_may_lead_to_it(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    make_private(tmp_path / "link")
    assert mode(tmp_path / "real") == 0o700


def test_a_file_or_a_loose_link_in_its_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loose").symlink_to(tmp_path / "nowhere")
    for name in ("file", "loose"):
        with pytest.raises(InvalidSettings, match="cannot be used"):
            make_private(tmp_path / name)
    assert not (tmp_path / "nowhere").exists()


@as_root
@pytest.mark.parametrize("foreign", ["directory", "link", "target", "content"])
def test_what_belongs_to_another_user_is_not_used(tmp_path: Path, foreign: str) -> None:
    real, place = tmp_path / "real", tmp_path / "place"
    real.mkdir(mode=0o755)
    (real / "api-url").symlink_to("/etc/passwd")
    place.symlink_to(real) if foreign in ("link", "target") else real.rename(place)
    given = {"directory": place, "link": place, "target": real, "content": place / "api-url"}[foreign]
    os.chown(given, NOBODY, NOBODY, follow_symlinks=False)
    with pytest.raises(InvalidSettings, match="belongs to another user"):
        make_private(place)
    assert anothers(place) is not None and mode(place) == 0o755
