"""`install.sh` on machines of all kinds: what it runs, after asking whom, and what it says.

Package managers take notes instead of installing; one test really installs the command into a home of its own.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.source import CHECKOUT

TOOLS = ("sh", "cat", "dirname", "env", "grep", "ln", "mkdir", "rm", "sed", "uname")
DONE = "done. Next, in a project: ccm-orchestrator task add"
NOBODY = "there is nobody to ask how it is to be set up"


class Machine:
    """A PATH of its own, with programs that take notes."""

    def __init__(self, directory: Path) -> None:
        self.home = directory / "home"
        self.programs = directory / "bin"
        self.notes = directory / "notes"
        self.home.mkdir()
        self.programs.mkdir()
        for tool in TOOLS:
            self.real(tool)
        self.user(1000)
        self.notes_of("sudo", 'exec "$@"')

    def real(self, tool: str) -> None:
        found = shutil.which(tool)
        assert found is not None
        (self.programs / tool).symlink_to(found)

    def has(self, name: str, body: str = "exit 0") -> None:
        path = self.programs / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def notes_of(self, name: str, then: str = "exit 0") -> None:
        self.has(name, f'echo "{name} $*" >>"{self.notes}"\n{then}')

    def ready(self) -> None:
        """Everything is there but the command."""
        for tool in ("tmux", "git", "claude"):
            self.has(tool)
        self.notes_of("pipx")
        self.has("python3.12")
        self.notes_of("ccm-orchestrator")

    def user(self, uid: int) -> None:
        self.has("id", f"echo {uid}")

    def install(self, *arguments: str, script: Path = CHECKOUT / "install.sh") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [script, *arguments],
            env={"PATH": str(self.programs), "HOME": str(self.home)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    @property
    def calls(self) -> list[str]:
        return self.notes.read_text().splitlines() if self.notes.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(Path(os.path.realpath(tmp_path)))


def test_a_machine_that_has_everything_gets_the_command_and_is_set_up_without_a_question(machine: Machine) -> None:
    machine.ready()
    done = machine.install("--yes")
    assert (done.returncode, done.stdout) == (0, "") and DONE in done.stderr
    assert machine.calls == [f"pipx install --force --python python3.12 {CHECKOUT}", "ccm-orchestrator init --yes"]


def test_without_a_terminal_the_command_is_installed_and_the_rest_is_left_to_a_person(machine: Machine) -> None:
    machine.ready()
    done = machine.install()
    assert done.returncode == 0 and NOBODY in done.stderr and "ccm-orchestrator init --yes" in done.stderr
    assert machine.calls == [f"pipx install --force --python python3.12 {CHECKOUT}"]


def test_what_is_not_wanted_is_told_to_the_set_up(machine: Machine) -> None:
    machine.ready()
    answers = machine.home / "answers of the fleet.toml"
    answers.write_text("max_agents = 2\n")
    assert machine.install("--answers", str(answers), "--no-service", "--no-task").returncode == 0
    assert machine.calls[-1] == f"ccm-orchestrator init --answers {answers} --service none --no-trial --yes"
    assert machine.install("--yes", "--no-init").returncode == 0
    assert machine.calls[-1].startswith("pipx install")


@pytest.mark.parametrize("installer", ["pipx", "uv", "venv"])
def test_installers_heed_nothing_of_the_directory_where_it_is_called(
    machine: Machine, installer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.ready()
    (machine.programs / "pipx").unlink()
    tool = "python3.12" if installer == "venv" else installer
    machine.has(tool, f'echo "$PWD $*" >>"{machine.notes}"\ncase $* in *-m*venv*) exit 9 ;; esac')
    tree = Path(os.path.realpath(tmp_path)) / "tree"
    (tree / "checkout").mkdir(parents=True)
    monkeypatch.chdir(tree)
    machine.install("--from", "./checkout/", "--no-claude", "--no-init")
    last = machine.calls[-1]
    assert last.startswith("/ ") and (f"{tree}/checkout" in last or last.startswith("/ -I -m venv"))


def test_the_set_up_looks_for_projects_where_it_was_called(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.ready()
    machine.notes_of("ccm-orchestrator", f'echo "$PWD" >>"{machine.notes}"')
    monkeypatch.chdir(tmp_path)
    assert machine.install("--yes").returncode == 0
    assert machine.calls[-1] == os.path.realpath(tmp_path)


def test_a_set_up_that_fails_is_not_called_done(machine: Machine) -> None:
    machine.ready()
    machine.notes_of("ccm-orchestrator", "exit 2")
    done = machine.install("--yes")
    assert done.returncode == 2 and DONE not in done.stderr


def test_uv_is_preferred_and_brings_its_own_python(machine: Machine) -> None:
    machine.ready()
    machine.notes_of("uv")
    (machine.programs / "python3.12").unlink()
    assert machine.install().returncode == 0
    assert machine.calls[0] == f"uv tool install --quiet --force --python >=3.11 {CHECKOUT}"


def test_without_either_the_command_gets_an_environment_of_its_own(machine: Machine) -> None:
    machine.ready()
    (machine.programs / "pipx").unlink()
    data = machine.home / ".local/share/ccm-orchestrator"
    pip = f'mkdir -p {data}/venv/bin; printf "#!/bin/sh\\necho pip \\$* >>{machine.notes}\\n" >{data}/venv/bin/pip'
    machine.notes_of("python3.12", f'case $* in *"-m venv"*) {pip}; chmod 755 {data}/venv/bin/pip ;; esac')
    machine.real("chmod")
    done = machine.install()
    assert done.returncode == 0, done.stderr
    assert f"pip install --quiet --upgrade {CHECKOUT}" in machine.calls
    link = machine.home / ".local/bin/ccm-orchestrator"
    assert link.is_symlink() and str(link.readlink()) == f"{data}/venv/bin/ccm-orchestrator"
    assert f'export PATH="{machine.home}/.local/bin:$PATH"' in done.stderr


@pytest.mark.parametrize(
    ("manager", "said"),
    [
        ("apt-get", "apt-get install -y --no-install-recommends tmux git"),
        ("dnf", "dnf install -y tmux git"),
        ("pacman", "pacman -S --noconfirm --needed tmux git"),
        ("apk", "apk add tmux git"),
    ],
)
def test_what_is_missing_comes_from_the_systems_own_manager(machine: Machine, manager: str, said: str) -> None:
    machine.ready()
    for tool in ("tmux", "git"):
        (machine.programs / tool).unlink()
    machine.notes_of(manager)
    done = machine.install("--yes")
    assert done.returncode == 0, done.stderr
    assert said in machine.calls


def test_without_a_terminal_nothing_is_installed_that_nobody_agreed_to(machine: Machine) -> None:
    machine.ready()
    (machine.programs / "tmux").unlink()
    machine.notes_of("apt-get")
    done = machine.install()
    assert done.returncode == 1 and "Install tmux with apt-get?" in done.stderr and "--yes" in done.stderr
    assert machine.calls == []


def test_a_machine_without_a_known_manager_is_told_what_to_install(machine: Machine) -> None:
    machine.ready()
    (machine.programs / "tmux").unlink()
    done = machine.install("--yes")
    assert done.returncode == 1 and "install tmux by hand, and run this again" in done.stderr


def test_a_python_that_is_too_old_is_named_with_what_to_do(machine: Machine) -> None:
    machine.ready()
    (machine.programs / "python3.12").unlink()
    machine.has("python3", '[ "$1" = --version ] && echo Python 3.9.2; exit 1')
    done = machine.install("--yes")
    assert done.returncode == 1
    assert "Python 3.11 or newer is needed, and this is Python 3.9.2" in done.stderr and "or uv" in done.stderr


def test_a_dry_run_shows_every_step_and_takes_none(machine: Machine) -> None:
    machine.ready()
    for tool in ("tmux", "claude"):
        (machine.programs / tool).unlink()
    machine.notes_of("apt-get")
    done = machine.install("--dry-run")
    assert done.returncode == 0
    steps = [line.removeprefix("+ ") for line in done.stderr.splitlines() if line.startswith("+ ")]
    assert "sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends tmux" in steps
    assert f"npm install --global --prefix {machine.home}/.local @anthropic-ai/claude-code" in steps
    assert steps[-1].endswith("ccm-orchestrator init")
    assert machine.calls == [] and list(machine.home.iterdir()) == []


def test_claude_code_is_left_alone_where_it_is_there_or_not_wanted(machine: Machine) -> None:
    machine.ready()
    machine.notes_of("npm")
    assert machine.install("--yes").returncode == 0
    (machine.programs / "claude").unlink()
    assert machine.install("--yes", "--no-claude", "--no-service").returncode == 0
    assert not any("npm" in call for call in machine.calls)
    assert machine.install("--yes").returncode == 0
    assert f"npm install --global --prefix {machine.home}/.local @anthropic-ai/claude-code" in machine.calls


def test_uninstalling_leaves_what_the_user_made_unless_told(machine: Machine) -> None:
    machine.ready()
    machine.notes_of("pipx", '[ "$1" = list ] && echo "ccm-orchestrator 0.1.0"; exit 0')
    kept = [machine.home / ".config/ccm-orchestrator", machine.home / ".local/state/ccm-orchestrator"]
    for directory in kept:
        directory.mkdir(parents=True)
    done = machine.install("--uninstall", "--yes")
    assert done.returncode == 0 and all(map(Path.exists, kept)) and "left as they are" in done.stderr
    assert machine.calls[0] == "ccm-orchestrator uninstall --yes --with-agents"
    assert machine.calls[-1] == "pipx uninstall ccm-orchestrator"
    assert machine.install("--uninstall", "--purge", "--yes").returncode == 0
    assert "ccm-orchestrator uninstall --yes --with-agents --purge" in machine.calls
    (machine.programs / "ccm-orchestrator").unlink()
    assert machine.install("--uninstall", "--purge", "--yes").returncode == 0
    assert not any(map(Path.exists, kept))


def test_the_command_stays_where_it_could_not_remove_its_services(machine: Machine) -> None:
    machine.ready()
    machine.notes_of("ccm-orchestrator", "exit 1")
    done = machine.install("--uninstall", "--yes")
    assert done.returncode == 1 and "nothing more was removed" in done.stderr
    assert machine.calls == ["ccm-orchestrator uninstall --yes --with-agents"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--nope"],
        ["--from"],
        ["--from", "/nowhere/x.whl"],
        ["--purge"],
        ["extra"],
        ["--answers"],
        ["--answers", "nowhere.toml"],
    ],
)
def test_an_option_that_is_none_is_refused_before_anything_is_done(machine: Machine, arguments: list[str]) -> None:
    machine.ready()
    done = machine.install(*arguments)
    assert done.returncode == 1 and done.stderr.startswith("install: ") and machine.calls == []


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_is_installed_from_a_wheel_has_all_its_parts(machine: Machine, tmp_path: Path) -> None:
    """As an ordinary user's venv, with the packages of this environment in place of the index's."""
    wheels = tmp_path / "wheels"
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(wheels), str(CHECKOUT)]
    subprocess.run(build, check=True, timeout=200)
    (wheel,) = wheels.glob("*.whl")
    target = tmp_path / "site"
    unpack = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), str(wheel)]
    subprocess.run(unpack, check=True, timeout=200)
    environment = {"PATH": os.environ["PATH"], "HOME": str(machine.home), "PYTHONPATH": str(target)}
    told = subprocess.run(
        [sys.executable, "-c", "import ccm_orchestrator; print(ccm_orchestrator.__file__)"],
        env=environment, cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert told.stdout.startswith(str(target))
    package = target / "ccm_orchestrator"
    shipped = {path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_file()}
    assert {"hooks/ccm-hook", "systemd/ccm-orchestrator.service", "launchd/ccm-orchestrator.plist"} <= shipped
    for migration in (CHECKOUT / "ccm_orchestrator" / "sql").rglob("*.sql"):
        assert migration.relative_to(CHECKOUT / "ccm_orchestrator").as_posix() in shipped
    assert not any(name.startswith(("tests/", "benchmarks/")) for name in shipped)
