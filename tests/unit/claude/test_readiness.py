"""Whether an agent can be started: stand-ins for the executable that count how often they are asked."""

import json
import os
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pytest

from ccm_orchestrator.adapters.claude.driver import ClaudeDriver
from ccm_orchestrator.domain.profiles import Profile
from ccm_orchestrator.domain.run import Mode
from ccm_orchestrator.errors import AgentMissing, AgentUnsupported, InvalidProject, NotLoggedIn
from ccm_orchestrator.ports.agents import LaunchOrder
from tests.unit.claude.orders import a_run, an_order


class Machine:
    """A home, a registered project, and an executable that answers `--version` and `auth status`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = root / "home"
        self.project = root / "proj"
        self.home.mkdir()
        self.project.mkdir()
        self.executable = root / "claude"
        self.environment = {"HOME": str(self.home), "PATH": os.environ["PATH"], "ANTHROPIC_API_KEY": "k" * 40}
        self.registered: list[Path] = [self.project]
        self.install("2.1.329 (Claude Code)")

    def install(self, version: str, logged_in: bool = True) -> None:
        script = f'#!/bin/sh\necho "$1" >> {self.root}/asked\ncase $1 in --version) echo "{version}";; *) exit '
        self.executable.write_text(f"{script}{0 if logged_in else 1};; esac\n")
        self.executable.chmod(0o755)

    @property
    def asked(self) -> list[str]:
        path = self.root / "asked"
        return path.read_text().split() if path.exists() else []

    def driver(self, executable: str | Path | None = None) -> ClaudeDriver:
        async def projects() -> Collection[Path]:
            return self.registered

        return ClaudeDriver(executable or self.executable, self.environment, Path("/opt/ccm-hook"), projects)

    def order(self, mode: Mode = Mode.INTERACTIVE) -> LaunchOrder:
        return an_order(run=a_run(cwd=self.project, mode=mode))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


async def test_a_ready_machine(machine: Machine) -> None:
    health = await machine.driver().probe()
    assert (health.ok, health.version, health.detail) == (True, "2.1.329", "")
    launch = await machine.driver().prepare(machine.order())
    assert launch.argv[0] == str(machine.executable)
    assert json.loads((machine.home / ".claude.json").read_text())["projects"][str(machine.project)]


async def test_the_version_is_asked_once_per_installed_file(machine: Machine) -> None:
    driver = machine.driver()
    for _ in range(3):
        await driver.prepare(machine.order())
    assert machine.asked == ["--version"]
    machine.install("2.1.330 (Claude Code)")
    os.utime(machine.executable, (1, 1))
    assert "newer than the newest release tested" in (await driver.probe()).detail


async def test_a_missing_executable(machine: Machine) -> None:
    driver = machine.driver("no-such-claude")
    assert not (await driver.probe()).ok
    with pytest.raises(AgentMissing, match="npm install -g"):
        await driver.prepare(machine.order())


async def test_an_executable_beside_the_path_is_found(machine: Machine) -> None:
    (machine.home / ".local/bin").mkdir(parents=True)
    (machine.home / ".local/bin/claude-here").symlink_to(machine.executable)
    assert (await machine.driver("claude-here").probe()).ok


@pytest.mark.parametrize("version", ["2.1.127 (Claude Code)", "2.1.100 (Claude Code)", "1.0.0", ""])
async def test_attack_45_a_release_with_known_holes_or_an_unknown_one_is_refused(
    machine: Machine, version: str
) -> None:
    machine.install(version)
    driver = machine.driver()
    health = await driver.probe()
    assert not health.ok
    assert health.detail
    with pytest.raises(AgentUnsupported):
        await driver.prepare(machine.order())


async def test_no_login(machine: Machine) -> None:
    del machine.environment["ANTHROPIC_API_KEY"]
    machine.install("2.1.329 (Claude Code)", logged_in=False)
    driver = machine.driver()
    assert "no login" in (await driver.probe()).detail
    with pytest.raises(NotLoggedIn):
        await driver.prepare(machine.order())
    machine.install("2.1.329 (Claude Code)", logged_in=True)
    await driver.prepare(machine.order())


async def test_a_key_of_the_profile_is_a_login(machine: Machine) -> None:
    del machine.environment["ANTHROPIC_API_KEY"]
    machine.install("2.1.329 (Claude Code)", logged_in=False)
    order = replace(machine.order(), profile=Profile("p", env={"ANTHROPIC_AUTH_TOKEN": "t"}))
    launch = await machine.driver().prepare(order)
    assert launch.env["ANTHROPIC_AUTH_TOKEN"] == "t"


async def test_an_unregistered_directory_is_never_trusted(machine: Machine) -> None:
    machine.registered = [machine.root]
    with pytest.raises(InvalidProject, match="project add"):
        await machine.driver().prepare(machine.order())
    assert not (machine.home / ".claude.json").exists()


async def test_a_directory_that_is_gone(machine: Machine) -> None:
    machine.project.rmdir()
    with pytest.raises(InvalidProject, match="is gone"):
        await machine.driver().prepare(machine.order())


async def test_print_mode_leaves_the_user_s_file_alone(machine: Machine) -> None:
    await machine.driver().prepare(machine.order(Mode.PRINT))
    assert not (machine.home / ".claude.json").exists()
