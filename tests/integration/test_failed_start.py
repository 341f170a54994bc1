"""A daemon that cannot start tells those whom the last one would have told."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from ccm_orchestrator.errors import InvalidSettings, StateDirectoryBusy
from ccm_orchestrator.programs import Program, argv_of
from ccm_orchestrator.settings import load_settings
from ccm_orchestrator.wiring.failed_start import LAST_TARGETS, TOLD, keep_targets, tell_of_failed_start
from tests.receiver import Receiver, receiving

WRONG = InvalidSettings("the configuration file is not valid TOML")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


class Place:
    def __init__(self, directory: Path) -> None:
        self.state, self.config = directory / "state", directory / "config.toml"
        self.state.mkdir()
        self.config.touch(mode=0o600)

    def worked(self, targets: str) -> None:
        """A daemon has started with this configuration."""
        self.config.write_text(f'state_directory = "{self.state}"\n{targets}')
        keep_targets(self.state / LAST_TARGETS, load_settings(self.config).notifications)

    def told(self, environment: Mapping[str, str] | None = None) -> list[str]:
        return tell_of_failed_start(WRONG, self.config, environment or {})


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def target(receiver: Receiver, more: str = "") -> str:
    return f'[notifications.targets.phone]\nurl = "{receiver.url}"\n{more}'


def test_the_program_itself_tells_once_though_it_is_tried_again_and_again(place: Place, receiver: Receiver) -> None:
    place.worked(target(receiver))
    place.config.write_text(f'state_directory = "{place.state}"\nthis is = = no TOML')
    command = argv_of(Program.COMMAND_LINE, "--config", str(place.config), "serve")
    environment = {"PATH": os.environ["PATH"], "HOME": str(place.state)}
    done = [subprocess.run(command, env=environment, capture_output=True, text=True, check=False) for _ in range(2)]
    assert [each.returncode for each in done] == [2, 2]
    assert "phone was told of it" in done[0].stderr and "phone" not in done[1].stderr
    (told,) = receiver.got
    assert told["title"] == "ccm-orchestrator: The daemon cannot start"
    assert "not valid TOML" in told["message"] and "ccm-orchestrator doctor" in told["message"]


def test_what_is_kept_is_its_owners_alone(place: Place, receiver: Receiver) -> None:
    place.worked(target(receiver))
    assert stat.S_IMODE((place.state / LAST_TARGETS).stat().st_mode) == 0o600


def test_who_is_not_reached_now_is_told_at_the_next_try(place: Place, receiver: Receiver) -> None:
    place.worked(target(receiver))
    receiver.answer = 503
    assert "could not be told" in place.told()[0]
    receiver.answer = 200
    assert place.told() == ["phone was told of it"]
    assert stat.S_IMODE((place.state / TOLD).stat().st_mode) == 0o600


def test_only_those_are_told_who_want_to_know(place: Place, receiver: Receiver) -> None:
    place.worked(target(receiver, 'events = ["failed"]\n'))
    assert place.told() == [] and receiver.got == []


def test_a_second_daemon_beside_one_that_works_is_nobodys_business(place: Place, receiver: Receiver) -> None:
    place.worked(target(receiver))
    assert tell_of_failed_start(StateDirectoryBusy(), place.config, {}) == []


@pytest.mark.parametrize("content", [None, "", "[]", "{", '{"phone": 5}', '{"phone": {"url_file": "/nowhere"}}'])
def test_what_was_kept_may_be_anything(place: Place, content: str | None) -> None:
    if content is not None:
        (place.state / LAST_TARGETS).write_text(content)
    assert place.told({"CCM_STATE_DIRECTORY": str(place.state)}) == []
