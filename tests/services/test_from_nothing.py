"""`install.sh` and `init` on a machine that has nothing but Debian's smallest installation: as root, by sudo, and as an
ordinary user, one after the other; each takes away what it made."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from ccm_orchestrator import __version__
from tests.services.conftest import SOURCE, WHEELS
from tests.services.machine import USER, Machine, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

DONE = "Everything went as it should"
"""A task with a scripted model was done by the real Claude Code."""
AS_ROOT, AS_USER = "ccm-orchestrator@root", "ccm-orchestrator"


def wheel(wheels: Path) -> str:
    (found,) = wheels.glob(f"ccm_orchestrator-{__version__}-*.whl")
    return f"{WHEELS}/{found.name}"


def test_root_gets_services_of_the_machine_and_sees_a_task_done(bare: Machine, wheels: Path) -> None:
    assert all(bare.try_root(f"command -v {tool}").returncode for tool in ("tmux", "git", "python3"))
    began_s = time.monotonic()
    done = bare.try_root(f"{SOURCE}/install.sh --yes --from {wheel(wheels)}")
    print(f"from nothing to a task done, as root: {time.monotonic() - began_s:.0f} s")
    told = done.stdout + done.stderr
    assert done.returncode == 0 and DONE in told, told
    assert "Ready but for a login" in told and "/etc/ccm-orchestrator/environment" in told.replace("\n", "")
    assert bare.as_root(f"systemctl is-active {AS_ROOT}").strip() == "active"
    user = bare.as_root(f"systemctl show {AS_ROOT} --property=User --value").strip()
    assert user == "root" and bare.try_user("systemctl --user is-active ccm-orchestrator").returncode != 0
    status = bare.try_root("ccm-orchestrator service status")
    assert status.returncode == 3 and "use those of the machine, with `--system`" in " ".join(status.stdout.split())


def test_installing_again_keeps_the_daemon_that_runs(bare: Machine, wheels: Path) -> None:
    before = bare.as_root(f"systemctl show {AS_ROOT} --property=MainPID --value")
    told = bare.try_root(f"{SOURCE}/install.sh --yes --no-task --from {wheel(wheels)}")
    assert told.returncode == 0, told.stderr
    assert "apt-get" not in told.stderr, "packages that are there were asked for again"
    assert bare.as_root(f"systemctl show {AS_ROOT} --property=MainPID --value") == before
    plan = json.loads(bare.as_root("ccm-orchestrator init --dry-run --json"))
    assert (plan["changes"], plan["projects"], plan["service"]) == ([], [], "system")


def test_an_ordinary_user_gets_services_that_outlive_the_logout(bare: Machine, wheels: Path) -> None:
    """From a checkout, beside root's daemon, which has the port that both would take."""
    bare.as_user(f"cp -r {SOURCE} checkout")
    began_s = time.monotonic()
    done = bare.try_user("cd checkout && ./install.sh --yes")
    print(f"from a checkout to a task done, as an ordinary user: {time.monotonic() - began_s:.0f} s")
    told = done.stdout + done.stderr
    assert done.returncode == 0 and DONE in told, told
    assert "api.port: 8765 → " in told and "sudo loginctl enable-linger" in told
    wait_until(lambda: not bare.as_root("loginctl list-sessions --no-legend").strip(), "the logout")
    assert bare.try_user("systemctl --user is-active ccm-orchestrator ccm-orchestrator-tmux").returncode == 0
    path = "PATH=$HOME/.local/bin:$PATH"
    assert json.loads(bare.as_user(f"{path} ccm-orchestrator service status --json"))["starts_with"] == "the machine"
    bare.as_user(f"{path}; mkdir shop && ccm-orchestrator project add shop")


def test_each_takes_away_what_is_theirs_alone(bare: Machine) -> None:
    gone = bare.try_user("cd checkout && ./install.sh --uninstall --purge --yes")
    assert gone.returncode == 0, gone.stderr
    left = bare.as_user("find . -name '*ccm*' -not -path './checkout/*'")
    assert left == "" and bare.as_user("ls -d shop") == "shop\n"
    assert bare.as_root(f"systemctl is-active {AS_ROOT}").strip() == "active"
    assert bare.try_root(f"{SOURCE}/install.sh --uninstall --yes").returncode == 0
    assert bare.as_root("ls /root/.local/state/ccm-orchestrator/ccm.db")
    left = bare.as_root("find /etc /opt /usr/local /run -name '*ccm*'")
    assert left == "" and bare.try_root("pgrep tmux").stdout == ""


def test_by_sudo_it_is_set_up_for_whoever_called_sudo(bare: Machine, wheels: Path) -> None:
    done = bare.try_user(f"cd checkout && sudo ./install.sh --yes --no-task --from {wheel(wheels)}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert bare.try_user(f"systemctl --user is-active {AS_USER}").stdout.strip() == "active"
    assert bare.try_root("ls /root/.config/ccm-orchestrator/config.toml").returncode == 0, "root's own, of before"
    assert "config.toml" in bare.as_user("ls .config/ccm-orchestrator")
    refused = bare.try_user("sudo ccm-orchestrator init --yes")
    assert refused.returncode == 2 and f"as {USER}, without sudo" in " ".join(refused.stderr.split())
    assert bare.try_user("cd checkout && sudo ./install.sh --uninstall --purge --yes").returncode == 0
    assert bare.as_user("find . -name '*ccm*' -not -path './checkout/*'") == ""
