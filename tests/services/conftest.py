from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.claude import claude_binary, claude_versions
from tests.invariants import AgentCensus
from tests.services.bases import build_wheel, source_copy, wheelhouse
from tests.services.desk import CONFIG, Desk
from tests.services.machine import USER, BareMachine, CannotBoot, Machine, ReadyMachine, missing, wait_until

CLAUDE = "/usr/local/bin/claude"
SOURCE, WHEELS = "/srv/ccm-orchestrator", "/srv/wheels"


@pytest.fixture(scope="session")
def directory() -> Iterator[Path]:
    """For machines, where they can be booted and somebody wants it: `make test-services`, and the build server."""
    if not os.environ.get("CCM_TEST_SERVICES"):
        pytest.skip("boots a machine: `make test-services`")
    if reason := missing():
        pytest.skip(f"no machine can be booted here: {reason}")
    with tempfile.TemporaryDirectory(prefix="ccm-machine-") as name:
        yield Path(name)


def _booted(machine: Machine) -> Iterator[Machine]:
    try:
        machine.__enter__()
    except CannotBoot as error:
        pytest.skip(f"no machine can be booted here: {error}")
    try:
        yield machine
    finally:
        machine.__exit__()


@pytest.fixture(scope="module")
def machine(directory: Path, request: pytest.FixtureRequest) -> Iterator[Machine]:
    """Runs this checkout, for one module of tests."""
    claude = claude_binary(claude_versions()[-1])
    yield from _booted(ReadyMachine(directory / request.module.__name__, {claude: CLAUDE}))


@pytest.fixture(scope="session")
def source(directory: Path) -> Path:
    """This tree as somebody gets it."""
    return source_copy(directory / "source")


@pytest.fixture(scope="session")
def wheels(directory: Path, source: Path) -> Path:
    """In the place of a package index: what we depend on, and this package."""
    shutil.copytree(wheelhouse(), directory / "wheels")
    build_wheel(source, directory / "wheels")
    return directory / "wheels"


@pytest.fixture(scope="module")
def bare(directory: Path, source: Path, wheels: Path, request: pytest.FixtureRequest) -> Iterator[Machine]:
    """As somebody has it who has just installed Debian, and Claude Code."""
    bound = {source: SOURCE, wheels: WHEELS, claude_binary(claude_versions()[-1]): CLAUDE}
    yield from _booted(BareMachine(directory / request.module.__name__, bound))


@pytest.fixture(scope="module")
def desk(machine: Machine) -> Iterator[Desk]:
    desk = Desk(machine)
    desk.write(".config/ccm-orchestrator/config.toml", CONFIG)
    machine.as_root(f"loginctl enable-linger {USER}")
    wait_until(lambda: machine.try_user("systemctl --user is-system-running").stdout.strip() == "running", "a manager")
    with AgentCensus(desk, desk.proc):
        yield desk


@pytest.fixture(autouse=True)
def invariants(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each scenario ends with them."""
    yield
    if "desk" in request.fixturenames:
        request.getfixturevalue("desk").check()
