"""The one-file binary, in a world without Python: `make binary` makes it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ccm_orchestrator.demo.model import ScriptedModel
from ccm_orchestrator.demo.sandbox import Sandbox
from ccm_orchestrator.demo.scenario import shipped_scenarios
from tests.claude import claude_binary, claude_versions
from tests.docs.source import CHECKOUT, PACKAGE

BINARY = CHECKOUT / "dist" / "ccm-orchestrator"


@pytest.fixture(scope="session")
def binary() -> Path:
    """Must be there with `CCM_TEST_BINARY=1`, as on the build server. Else one that is out of date is passed by."""
    if not os.environ.get("CCM_TEST_BINARY"):
        if not BINARY.exists():
            pytest.skip("there is no binary: `make binary`")
        newest = max(path.stat().st_mtime for path in (CHECKOUT / PACKAGE).rglob("*.py"))
        if BINARY.stat().st_mtime < newest:
            pytest.skip("the binary is older than the source: `make binary`")
    assert BINARY.exists(), "make binary"
    return BINARY


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A directory for PATH: all that this machine has, but for Python."""
    place = tmp_path / "bin"
    place.mkdir()
    for directory in map(Path, os.defpath.split(":")):
        for program in directory.iterdir():
            if not program.name.startswith(("python", "pip", "pydoc")) and not (place / program.name).exists():
                (place / program.name).symlink_to(program)
    assert shutil.which("python3", path=str(place)) is None
    return place


@pytest.fixture
def temporary() -> Iterator[Path]:
    """Short, for the sockets in it."""
    with tempfile.TemporaryDirectory(prefix="ccm-", ignore_cleanup_errors=True) as name:
        yield Path(name)


class BinarySandbox(Sandbox):
    """Everything in it is done by the binary."""

    binary: Path

    def cli(self, *arguments: str) -> list[str]:
        return [str(self.binary), *arguments]


@pytest.fixture
def sandbox(binary: Path, programs: Path, temporary: Path, request: pytest.FixtureRequest) -> Iterator[BinarySandbox]:
    """Its parameter: the configuration."""
    model = ScriptedModel(shipped_scenarios())
    claude = claude_binary(claude_versions()[-1])
    with model.in_thread() as url:
        sandbox = BinarySandbox(temporary, claude, url, getattr(request, "param", ""))
        sandbox.binary = binary
        sandbox.overrides |= {"PATH": str(programs)}
        with sandbox:
            yield sandbox
