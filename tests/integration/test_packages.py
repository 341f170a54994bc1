"""What is in the wheel and in the source archive, all of it and nothing else; and the wheel alone is enough."""

from __future__ import annotations

import re
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ccm_orchestrator import __version__
from tests.docs.source import CHECKOUT
from tests.wheels import build, make_environment

NAME = f"ccm_orchestrator-{__version__}"
INSIDE = ("systemd", "launchd", "hooks")
"""Directories of the checkout that are in the package when it is installed."""
SHARED = {
    "man": "share/man/man1",
    "completions/ccm-orchestrator": "share/bash-completion/completions",
    "completions/_ccm-orchestrator": "share/zsh/site-functions",
    "completions/ccm-orchestrator.fish": "share/fish/vendor_completions.d",
    "monitoring": "share/ccm-orchestrator/monitoring",
}
ARCHIVED = (
    "ccm_orchestrator", *INSIDE, "man", "completions", "monitoring", "docs", "install.sh", "CHANGELOG.md",
    "CONTRIBUTING.md", "LICENSE", "README.md", "pyproject.toml", ".gitignore",
)  # fmt: skip


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel is made of what is in the source archive, as an index would have it."""
    place = tmp_path_factory.mktemp("packages")
    with tarfile.open(build(CHECKOUT, place, "sdist")) as archive:
        archive.extractall(place, filter="data")
    build(place / NAME, place, "wheel")
    return place


def test_the_wheel_holds_all_that_an_installation_needs_and_nothing_else(packages: Path) -> None:
    expected = {f"ccm_orchestrator/{name}" for name in _files(CHECKOUT / "ccm_orchestrator")}
    expected |= {f"ccm_orchestrator/{part}/{name}" for part in INSIDE for name in _files(CHECKOUT / part)}
    expected.add("ccm_orchestrator/CHANGELOG.md")
    for source, target in SHARED.items():
        names = _files(CHECKOUT / source) if (CHECKOUT / source).is_dir() else [Path(source).name]
        expected |= {f"{NAME}.data/data/{target}/{name}" for name in names}
    about = ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")
    expected |= {f"{NAME}.dist-info/{name}" for name in about}
    assert set(zipfile.ZipFile(packages / f"{NAME}-py3-none-any.whl").namelist()) == expected
    assert {"ccm_orchestrator/sql/sqlite/0001_first.sql", "ccm_orchestrator/py.typed"} <= expected


def test_the_source_archive_holds_all_that_a_wheel_is_made_of_and_nothing_else(packages: Path) -> None:
    expected = {"PKG-INFO"}
    for part in ARCHIVED:
        found = CHECKOUT / part
        expected |= {f"{part}/{name}" for name in _files(found)} if found.is_dir() else {part}
    with tarfile.open(packages / f"{NAME}.tar.gz") as archive:
        assert {name.removeprefix(f"{NAME}/") for name in archive.getnames()} == expected


def test_the_hook_and_the_installer_can_be_run(packages: Path) -> None:
    for name in ("hooks/ccm-hook", "install.sh"):
        assert (packages / NAME / name).stat().st_mode & 0o111


def test_the_wheel_works_where_nothing_of_the_checkout_is(packages: Path, tmp_path: Path) -> None:
    environment = make_environment(tmp_path / "environment")
    python, command = str(environment / "bin" / "python"), str(environment / "bin" / "ccm-orchestrator")
    wheel = str(packages / f"{NAME}-py3-none-any.whl")

    def said(*argv: str) -> str:
        env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
        done = subprocess.run(argv, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    said(python, "-m", "pip", "install", "-q", "-I", "--no-deps", "--no-index", "--no-compile", wheel)
    assert said(command, "--version") == f"ccm-orchestrator {__version__}\n"
    assert "scripted model" in said(command, "demo", "--help")
    assert (environment / "share" / "man" / "man1" / "ccm-orchestrator.1").exists()


def test_the_version_is_the_same_everywhere(packages: Path) -> None:
    metadata = zipfile.ZipFile(packages / f"{NAME}-py3-none-any.whl").read(f"{NAME}.dist-info/METADATA").decode()
    assert f"\nVersion: {__version__}\n" in metadata
    assert 'dynamic = ["version"]' in (CHECKOUT / "pyproject.toml").read_text()
    headings = re.findall(r"^## \[(.+?)\]", (CHECKOUT / "CHANGELOG.md").read_text(), re.M)
    assert headings[0] == "Unreleased" and headings[1:2] in ([], [__version__])
    for page in (CHECKOUT / "man").iterdir():
        assert not re.search(r"\b\d+\.\d+\.\d+\b", page.read_text().splitlines()[0]), "man pages name no version"


def _files(directory: Path) -> Iterator[str]:
    for path in directory.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            yield str(path.relative_to(directory))
