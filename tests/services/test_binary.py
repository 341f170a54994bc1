"""The one-file binary as a service of the real systemd: what systemd begins only unpacks the daemon, its child."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packages.conftest import binary
from tests.services.bases import ready_machine
from tests.services.conftest import _booted
from tests.services.desk import DAEMON, Desk
from tests.services.machine import Machine, wait_until

__all__ = ["binary"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
COMMAND = "/usr/local/bin/ccm-orchestrator"
DROP_INS = f".config/systemd/user/{DAEMON}.d"


@pytest.fixture(scope="module")
def machine(directory: Path, binary: Path) -> Iterator[Machine]:
    yield from _booted(Machine(directory / __name__, ready_machine(), {binary: COMMAND}))


def daemon_itself(desk: Desk) -> str:
    """The child of what systemd began."""
    return (desk.proc() / desk.pid() / "task" / desk.pid() / "children").read_text().split()[0]


def test_systemd_hears_that_it_is_ready(desk: Desk) -> None:
    assert "Wrote" in desk.say("ccm-orchestrator service install")
    assert desk.ready() and desk.show(DAEMON, "NotifyAccess") == "all"
    assert desk.show(DAEMON, "StatusText") != ""
    assert "installed so already" in desk.say("ccm-orchestrator service install")


def test_a_killed_one_is_back_with_its_agents(desk: Desk) -> None:
    task_id, before = desk.begin("killed"), desk.pid()
    desk.say(f"systemctl --user kill --signal=KILL --kill-who=main {DAEMON}")
    took_s = wait_until(lambda: desk.pid() not in (before, "0") and desk.ready(), "the daemon's return")
    print(f"binary, killed to ready: {took_s:.1f} s")
    assert desk.agents() == 1
    desk.ends_well("killed", task_id)


def test_one_that_hangs_is_replaced_by_the_watchdog(desk: Desk) -> None:
    desk.write(f"{DROP_INS}/quick.conf", "[Service]\nWatchdogSec=8\n")
    desk.say(f"systemctl --user daemon-reload && systemctl --user restart {DAEMON}")
    task_id, before = desk.begin("hung"), desk.pid()
    desk.say(f"kill -STOP {daemon_itself(desk)}")
    took_s = wait_until(lambda: desk.pid() not in (before, "0") and desk.ready(), "the daemon's replacement")
    print(f"binary, hung to ready with a watchdog of 8 s: {took_s:.1f} s")
    assert desk.agents() == 1
    desk.ends_well("hung", task_id)
