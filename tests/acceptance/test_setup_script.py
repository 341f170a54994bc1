"""`scripts/setup` on machines that lack something: what it installs, after asking whom, and what it says."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.docs.source import CHECKOUT

TOOLS = ("sh", "cat", "cksum", "dirname", "env", "git", "sqlite3", "touch", "chmod")


class Machine:
    """A checkout that is set up but for its tools, on a PATH of its own with a package manager that takes notes."""

    def __init__(self, directory: Path) -> None:
        self.checkout = directory / "checkout"
        self.programs = directory / "bin"
        self.notes = directory / "notes"
        (self.checkout / "scripts").mkdir(parents=True)
        (self.checkout / ".venv" / "bin").mkdir(parents=True)
        self.programs.mkdir()
        shutil.copy(CHECKOUT / "scripts" / "setup", self.checkout / "scripts")
        shutil.copy(CHECKOUT / "pyproject.toml", self.checkout)
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found is not None
            (self.programs / tool).symlink_to(found)
        self.has("python", "exit 0", self.checkout / ".venv" / "bin")
        self._sign()
        self.user(0)

    def has(self, name: str, body: str, directory: Path | None = None) -> None:
        path = (directory or self.programs) / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def user(self, uid: int) -> None:
        self.has("id", f"echo {uid}")

    def manager(self, name: str, body: str = "") -> None:
        """Takes a note of each call, and installs a tmux."""
        create = f'echo "#!/bin/sh" >"{self.programs}/tmux"; chmod 755 "{self.programs}/tmux"'
        self.has(name, f'echo "{name} $*" >>"{self.notes}"\n{body or create}')

    def setup(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.checkout / "scripts" / "setup", *arguments],
            env={"PATH": str(self.programs), **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    @property
    def calls(self) -> list[str]:
        return self.notes.read_text().splitlines() if self.notes.exists() else []

    def _sign(self) -> None:
        """As `scripts/setup` itself does after an installation."""
        command = '{ echo "$PWD"; cat pyproject.toml scripts/setup; } | cksum >.venv/.ccm-setup'
        subprocess.run(["sh", "-c", command], cwd=self.checkout, check=True)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(Path(os.path.realpath(tmp_path)))


def test_where_nothing_is_missing_it_does_and_says_nothing(machine: Machine) -> None:
    machine.manager("apt-get")
    machine.has("tmux", "exit 0")
    done = machine.setup()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert machine.calls == []


def test_root_without_a_terminal_gets_what_is_missing_and_is_told(machine: Machine) -> None:
    machine.manager("apt-get")
    done = machine.setup()
    assert done.returncode == 0, done.stderr
    assert machine.calls == ["apt-get install -y --no-install-recommends tmux"]
    assert "missing: tmux" in done.stderr
    assert "installing with apt-get: tmux" in done.stderr


def test_without_agreement_nothing_is_installed(machine: Machine) -> None:
    machine.user(1000)
    machine.manager("apt-get")
    machine.has("sudo", 'exec "$@"')
    done = machine.setup()
    assert done.returncode == 1
    assert "install tmux with apt-get and run this again, or set CCM_YES=1" in done.stderr
    assert machine.calls == []


def test_with_agreement_a_user_installs_through_sudo(machine: Machine) -> None:
    machine.user(1000)
    machine.manager("dnf")
    machine.has("sudo", f'echo sudo >>"{machine.notes}"; exec "$@"')
    (machine.programs / "sqlite3").unlink()
    done = machine.setup(CCM_YES="1")
    assert done.returncode == 0, done.stderr
    assert machine.calls == ["sudo", "dnf install -y tmux sqlite"]


def test_a_user_without_sudo_is_told_what_root_has_to_do(machine: Machine) -> None:
    machine.user(1000)
    machine.manager("apt-get")
    done = machine.setup(CCM_YES="1")
    assert done.returncode == 1
    assert "as root, install with apt-get: tmux" in done.stderr


def test_stale_package_lists_are_fetched_anew(machine: Machine) -> None:
    create = f'echo "#!/bin/sh" >"{machine.programs}/tmux"; chmod 755 "{machine.programs}/tmux"'
    lists = machine.programs.parent / "lists"
    body = f'case $1 in update) touch "{lists}" ;; *) [ -e "{lists}" ] || exit 100; {create} ;; esac'
    machine.manager("apt-get", body)
    assert machine.setup().returncode == 0
    assert [call.split()[1] for call in machine.calls] == ["install", "update", "install"]


def test_a_failing_package_manager_is_an_error(machine: Machine) -> None:
    machine.manager("pacman", "exit 1")
    done = machine.setup()
    assert done.returncode == 1
    assert "pacman could not install tmux" in done.stderr


def test_no_package_manager_at_all_is_said(machine: Machine) -> None:
    done = machine.setup()
    assert done.returncode == 1
    assert "tmux is missing and no known package manager was found" in done.stderr


def test_an_unknown_part_is_refused(machine: Machine) -> None:
    machine.has("tmux", "exit 0")
    done = machine.setup("everything")
    assert done.returncode == 1
    assert "unknown part 'everything'; known: claude, test-claudes, supabase, chromium" in done.stderr


def test_the_browser_is_installed_only_where_it_is_missing(machine: Machine) -> None:
    machine.has("tmux", "exit 0")
    machine.has("chromium", "exit 0")
    assert machine.setup("chromium").returncode == 0


@pytest.fixture
def without_postgres(machine: Machine) -> Machine:
    """Debian without PostgreSQL. Files of the system are touched through programs that only take notes."""
    machine.has("tmux", "exit 0")
    machine.has("python", 'case "$*" in *find_postgres*) exit 1 ;; esac', machine.checkout / ".venv" / "bin")
    machine.has("install-postgrest", f'echo install-postgrest >>"{machine.notes}"', machine.checkout / "scripts")
    for tool in ("sed", "sort", "tail", "grep"):
        (machine.programs / tool).symlink_to(shutil.which(tool) or "")
    for tool in ("mkdir", "rm", "tee"):
        machine.has(tool, f'echo "{tool} $*" >>"{machine.notes}"; [ {tool} != tee ] || cat >>"{machine.notes}"')
    machine.manager("apt-get", ":")
    return machine


KNOWN = "".join(f"echo 'postgresql-{version}-wal2json - PostgreSQL plugin'\n" for version in (9, 15, 17, 19))
CLUSTERS = "/etc/postgresql-common/createcluster.d"
INSTALLATION = [
    f"mkdir -p {CLUSTERS}",
    f"tee {CLUSTERS}/ccm-orchestrator.conf",
    "create_main_cluster = false",
    "apt-get install -y --no-install-recommends postgresql-17 postgresql-17-wal2json",
    f"rm -f {CLUSTERS}/ccm-orchestrator.conf",
]


def test_postgresql_comes_in_the_newest_known_version_and_without_a_cluster(without_postgres: Machine) -> None:
    without_postgres.has("apt-cache", KNOWN)
    done = without_postgres.setup("supabase")
    assert done.returncode == 0, done.stderr
    assert without_postgres.calls == [*INSTALLATION, "install-postgrest"]


def test_package_lists_are_fetched_where_there_are_none(without_postgres: Machine) -> None:
    notes = without_postgres.notes
    without_postgres.has("apt-cache", f'grep -q "apt-get update" "{notes}" 2>/dev/null || exit 0\n{KNOWN}')
    done = without_postgres.setup("supabase")
    assert done.returncode == 0, done.stderr
    assert without_postgres.calls == ["apt-get update", *INSTALLATION, "install-postgrest"]


def test_a_failed_installation_leaves_no_trace_in_the_system(without_postgres: Machine) -> None:
    without_postgres.has("apt-cache", KNOWN)
    without_postgres.manager("apt-get", "exit 1")
    done = without_postgres.setup("supabase")
    assert done.returncode == 1
    assert "apt-get could not install postgresql-17 postgresql-17-wal2json" in done.stderr
    assert without_postgres.calls[-1] == INSTALLATION[-1]


def test_postgresql_is_installed_only_after_agreement(without_postgres: Machine) -> None:
    without_postgres.has("apt-cache", KNOWN)
    without_postgres.user(1000)
    without_postgres.has("sudo", 'exec "$@"')
    done = without_postgres.setup("supabase")
    assert done.returncode == 1
    assert "install postgresql-17 postgresql-17-wal2json with apt-get and run this again" in done.stderr
    assert without_postgres.calls == []


def test_where_the_packages_are_unknown_a_person_has_to_install_them(without_postgres: Machine) -> None:
    (without_postgres.programs / "apt-get").unlink()
    without_postgres.manager("dnf", ":")
    done = without_postgres.setup("supabase")
    assert done.returncode == 1
    assert "PostgreSQL 15 or newer with its plugin wal2json is missing; install both" in done.stderr
