"""Another version is installed and taken back while agents work: a shell that waits, and the real Claude Code."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ccm_orchestrator import __version__
from tests.acceptance.test_update import FAULTS
from tests.invariants import AgentCensus
from tests.services.bases import build_wheel
from tests.services.conftest import WHEELS
from tests.services.desk import CONFIG, DAEMON, HOME, TMUX, Desk
from tests.services.machine import Machine, wait_until
from tests.wheels import build_wheel as build_version

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

VENV = f"{HOME}/.local/share/ccm-orchestrator/venv"
NEXT, NEXT_SCHEMA = "900.1.0", "900.2.0"
"""Versions that are yet to come: the second one has a migration of its own."""
MIGRATION = "9001_notes"
NEXT_UNITS, BROKEN = "900.0.1", "900.0.2"
"""The first has other unit files; the second one has a migration, too, and its daemon never gets ready."""
MARK = "Environment=UNITS_OF={version}"


@pytest.fixture(scope="module")
def later(source: Path, wheels: Path) -> None:
    """Wheels of them, beside that of this tree."""
    stated = source / "ccm_orchestrator" / "__init__.py"
    text = stated.read_text()
    migration = source / "ccm_orchestrator" / "sql" / "sqlite" / f"{MIGRATION}.sql"
    try:
        stated.write_text(re.sub(r'__version__ = ".*"', f'__version__ = "{NEXT}"', text))
        build_wheel(source, wheels)
        stated.write_text(re.sub(r'__version__ = ".*"', f'__version__ = "{NEXT_SCHEMA}"', text))
        migration.write_text("CREATE TABLE notes (note TEXT NOT NULL);\n")
        build_wheel(source, wheels)
    finally:
        stated.write_text(text)
        migration.unlink(missing_ok=True)
    build_version(wheels, NEXT_UNITS, units_of(NEXT_UNITS))
    build_version(wheels, BROKEN, units_of(BROKEN) | FAULTS)


def units_of(version: str) -> dict[str, tuple[str, str]]:
    return {
        f"systemd/{name}.service": ("[Service]\n", f"[Service]\n{MARK.format(version=version)}\n")
        for name in ("ccm-orchestrator", "ccm-orchestrator-tmux")
    }


@pytest.fixture(scope="module")
def desk(bare: Machine, later: None) -> Iterator[Desk]:
    desk = Desk(bare)
    desk.write(".config/ccm-orchestrator/config.toml", CONFIG)
    bare.as_user("cp -r /srv/ccm-orchestrator checkout")
    done = bare.try_user("cd checkout && ./install.sh --yes --no-task")
    assert done.returncode == 0, done.stderr
    bare.as_root(f"ln -s {HOME}/.local/bin/ccm-orchestrator /usr/local/bin/")
    desk.start_model(f"{VENV}/bin/python")
    desk.say(f"systemctl --user restart {DAEMON}")
    with AgentCensus(desk, desk.proc):
        yield desk


def install(machine: Machine, version: str) -> tuple[int, str]:
    """As the page says: once more, from what is to be there. Exit code and words."""
    began_s = time.monotonic()
    done = machine.try_user(
        f"cd checkout && ./install.sh --yes --no-task --from {WHEELS}/ccm_orchestrator-{version}-*.whl"
    )
    print(f"to {version}: {time.monotonic() - began_s:.0f} s")
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def version(desk: Desk) -> str:
    """Of the daemon that answers."""
    return str(desk.ask("status")["version"])


def test_agents_outlive_an_upgrade_and_its_undoing(desk: Desk) -> None:
    waiting = desk.begin("upgrade")
    working = desk.add("conversation", "Take your time. [scenario:slow-tool seconds=40]", "trusted")
    wait_until(lambda: "This will take about 40 seconds." in desk.said("conversation"), "the agent's work")
    before, tmux = desk.pid(), desk.pid("ccm-orchestrator-tmux.service")
    assert install(desk.machine, NEXT)[0] == 0
    assert version(desk) == NEXT and desk.pid() != before and desk.agents() == 1
    assert install(desk.machine, __version__)[0] == 0
    assert version(desk) == __version__ and desk.agents() == 1
    assert desk.pid("ccm-orchestrator-tmux.service") == tmux
    desk.succeeds(working)
    desk.ends_well("upgrade", waiting)


def update(desk: Desk, version: str) -> tuple[int, str]:
    """Exit code and words."""
    done = desk.machine.try_user(f"ccm-orchestrator update --to {version}")
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def unit_files(desk: Desk) -> dict[str, str]:
    directory = desk.machine.root / HOME[1:] / ".config/systemd/user"
    return {file.name: file.read_text() for file in directory.glob("ccm-orchestrator*.service")}


def test_update_brings_another_version_with_its_unit_files_under_agents(desk: Desk) -> None:
    waiting, before, tmux = desk.begin("update"), desk.pid(), desk.pid(TMUX)
    assert "Have it write the service's files anew" in desk.say(f"ccm-orchestrator update --dry-run --to {NEXT_UNITS}")
    code, told = update(desk, NEXT_UNITS)
    assert code == 0 and "by its user service, and is ready. Agents went on." in told, told
    assert "It wrote the service's files anew" in told
    assert version(desk) == NEXT_UNITS and desk.pid() != before
    assert f"UNITS_OF={NEXT_UNITS}" in desk.show(DAEMON, "Environment")
    assert desk.pid(TMUX) == tmux and desk.agents() == 1
    desk.ends_well("update", waiting)


def test_update_takes_back_a_version_whose_daemon_does_not_get_ready(desk: Desk) -> None:
    waiting, before, tmux = desk.begin("broken"), unit_files(desk), desk.pid(TMUX)
    code, told = update(desk, BROKEN)
    assert code == 1 and f"{NEXT_UNITS} is in place again; {BROKEN} did not get ready" in told, told
    assert "Restored the database from" in told
    assert version(desk) == NEXT_UNITS and desk.show(DAEMON, "ActiveState") == "active"
    assert unit_files(desk) == before and f"UNITS_OF={NEXT_UNITS}" in desk.show(DAEMON, "Environment")
    assert desk.pid(TMUX) == tmux and desk.agents() == 1
    desk.ends_well("broken", waiting)


def test_update_leaves_alone_unit_files_that_a_person_changed_and_says_so(desk: Desk) -> None:
    own = unit_files(desk)[DAEMON] + "# mine\n"
    desk.write(f".config/systemd/user/{DAEMON}", own)
    code, told = update(desk, __version__)
    assert code == 0 and "changed by hand" in told and version(desk) == __version__, told
    assert unit_files(desk)[DAEMON] == own
    desk.say("ccm-orchestrator service install")
    assert "UNITS_OF" not in desk.show(DAEMON, "Environment")


def test_an_older_version_leaves_alone_what_a_newer_one_has_changed_and_says_so(desk: Desk) -> None:
    waiting = desk.begin("schema")
    assert install(desk.machine, NEXT_SCHEMA)[0] == 0
    assert desk.query("SELECT 1 FROM schema_migrations WHERE name = ?", MIGRATION) == [(1,)]
    code, told = install(desk.machine, __version__)
    assert code == 1 and "was written by a newer ccm-orchestrator" in told and MIGRATION in told, told
    refused = desk.machine.try_user("ccm-orchestrator task list")
    assert refused.returncode != 0 and "was written by a newer" in refused.stderr and "Traceback" not in refused.stderr
    assert "was written by a newer" in desk.machine.as_root("journalctl --no-pager --output=cat")
    assert desk.agents() == 1 and desk.query("SELECT count(*) FROM notes") == [(0,)]
    assert install(desk.machine, NEXT_SCHEMA)[0] == 0
    assert version(desk) == NEXT_SCHEMA and desk.agents() == 1
    desk.ends_well("schema", waiting)


def test_the_backup_that_an_older_version_names_takes_it_back(desk: Desk) -> None:
    """As docs/operations.md says; the task of before ended since, and is as it was then: its agent has gone."""
    assert install(desk.machine, __version__)[0] == 1
    told = " ".join(desk.machine.try_user("ccm-orchestrator task list").stderr.split())
    named = re.search(r"The newest that it can read is (\S+\.db)\.", told)
    assert named, told
    desk.say(
        f"systemctl --user stop {DAEMON} && cd .local/state/ccm-orchestrator && mkdir aside && mv ccm.db* aside/"
        f" && cp {named[1]} ccm.db && chmod 600 ccm.db && systemctl --user start {DAEMON}"
    )
    assert version(desk) == __version__
    assert desk.query("SELECT 1 FROM schema_migrations WHERE name = ?", MIGRATION) == []
    task_id = desk.begin("afterwards")
    desk.ends_well("afterwards", task_id)
