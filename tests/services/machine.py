"""A machine with the real systemd as its first process, in a container: Debian's packages, loopback alone."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import site
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.services.bases import CHECKOUT, bare_machine, ready_machine

TOOLS = ("mmdebstrap", "systemd-nspawn", "nsenter")
BOOT_S = 120.0
COMMAND_S = 300.0
POLL_S = 0.1
USER = "anna"
_LAUNCHER = """#!/bin/sh
PYTHONPATH={path} exec /usr/bin/python3 -m ccm_orchestrator "$@"
"""
_ENVIRONMENT = "PATH=/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8"


def missing() -> str | None:
    """Why no machine can be booted here."""
    if os.geteuid() != 0:
        return "only root can boot a container"
    absent = [tool for tool in TOOLS if shutil.which(tool) is None]
    if absent:
        return f"{', '.join(absent)} is missing: apt-get install mmdebstrap systemd-container"
    if sys.version_info[:2] != (3, 11):
        return "the container's Python is 3.11, and this one's packages are not for it"
    return None


def wait_until(condition: Callable[[], object], what: str, limit_s: float = 120.0) -> float:
    """Seconds that it took. Raises: AssertionError."""
    began_s = time.monotonic()
    while not condition():
        assert time.monotonic() - began_s < limit_s, f"{what} did not happen within {limit_s:g} s"
        time.sleep(POLL_S)
    return time.monotonic() - began_s


class CannotBoot(Exception):
    """Containers do not boot here; what systemd-nspawn said."""


class Machine:
    """Boots on entering, is powered off and removed on leaving."""

    def __init__(self, directory: Path, base: Path, bound: Mapping[Path, str]) -> None:
        """`bound`: what it sees of this machine, read-only, and where."""
        self.root = directory / "root"
        self.log = directory / "console.log"
        self.boots = 0
        self._base = base
        self._bound = bound
        self._container: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Machine:
        self.root.parent.mkdir(exist_ok=True)
        subprocess.run(["cp", "-a", "--reflink=auto", self._base, self.root], check=True)
        subprocess.run(["chroot", self.root, "useradd", "--create-home", "--shell", "/bin/bash", USER], check=True)
        (self.root / "etc/hostname").write_text("desk\n")
        (self.root / "etc/hosts").write_text("127.0.0.1 localhost desk\n")
        self.prepare()
        try:
            self.boot()
        except BaseException:
            self.cut_power()
            raise
        return self

    def prepare(self) -> None:
        """What else is in its root file system."""

    def __exit__(self, *_: object) -> None:
        self.cut_power()
        shutil.rmtree(self.root)

    def proc(self) -> Path:
        """Its process table, in which processes have the numbers that they see themselves."""
        return Path(f"/proc/{self._leader() or 0}/root/proc")

    def boot(self) -> None:
        argv = ["systemd-nspawn", "-D", str(self.root), "-b", "--register=no", "--keep-unit", "--private-network"]
        argv += ["-M", f"ccm-{os.getpid()}", *(f"--bind-ro={here}:{there}" for here, there in self._bound.items())]
        with self.log.open("ab") as console:
            self._container = container = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=console, stderr=console
            )
        self.boots += 1
        wait_until(lambda: container.poll() is not None or self._is_up(), "a boot", BOOT_S)
        if container.poll() is not None:
            raise CannotBoot(self.log.read_text(errors="replace").strip()[-500:])

    def _is_up(self) -> bool:
        return self.try_root("systemctl is-system-running").stdout.strip() in ("running", "degraded")

    def power_off(self) -> None:
        """In order, as a shutdown does."""
        container, self._container = self._container, None
        if container is not None:
            container.terminate()
            container.wait(COMMAND_S)

    def cut_power(self) -> None:
        """Everything in it ends at once."""
        leader = self._leader()
        container, self._container = self._container, None
        if container is not None:
            os.kill(int(leader), signal.SIGKILL) if leader else container.kill()
            container.wait(COMMAND_S)

    def reboot(self) -> None:
        self.power_off()
        self.boot()

    def try_root(self, command: str) -> subprocess.CompletedProcess[str]:
        return self._enter(f"env -i HOME=/root {_ENVIRONMENT} sh -c {shlex.quote(command)}")

    def as_root(self, command: str) -> str:
        return _said(self.try_root(command))

    def try_user(self, command: str) -> subprocess.CompletedProcess[str]:
        uid = (self.root / "home" / USER).stat().st_uid
        inner = f"export {_ENVIRONMENT} XDG_RUNTIME_DIR=/run/user/{uid}; {command}"
        return self._enter(f"env -i HOME=/root {_ENVIRONMENT} su -l {USER} -c {shlex.quote(inner)}")

    def as_user(self, command: str) -> str:
        """What it said. Raises: AssertionError when it failed."""
        return _said(self.try_user(command))

    def main_pid(self, unit: str) -> str:
        return self.as_root(f"systemctl show {unit} --property=MainPID --value").strip()

    def _enter(self, command: str) -> subprocess.CompletedProcess[str]:
        leader = self._leader()
        if leader is None:
            return subprocess.CompletedProcess([command], 1, "", "the machine does not run")
        argv = ["nsenter", "-t", leader, "-a", "--", *shlex.split(command)]
        return subprocess.run(argv, capture_output=True, text=True, timeout=COMMAND_S, stdin=subprocess.DEVNULL)

    def _leader(self) -> str | None:
        """The pid of its first process, as we see it."""
        if self._container is None:
            return None
        children = Path(f"/proc/{self._container.pid}/task/{self._container.pid}/children")
        found = children.read_text().split() if children.exists() else []
        return found[0] if found else None


def _said(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, f"{done.args}: {done.stdout}{done.stderr}"
    return done.stdout


def python_path() -> str:
    """For this checkout, here and in machines that it is bound into."""
    return f"{CHECKOUT}:{next(path for path in site.getsitepackages() if path.endswith('site-packages'))}"


class ReadyMachine(Machine):
    """Runs this checkout with the packages that this Python sees: both are bound in at the same paths."""

    def __init__(self, directory: Path, bound: Mapping[Path, str] | None = None) -> None:
        super().__init__(directory, ready_machine(), {CHECKOUT: str(CHECKOUT), **(bound or {})})

    def prepare(self) -> None:
        command = self.root / "usr/local/bin/ccm-orchestrator"
        command.write_text(_LAUNCHER.format(path=python_path()))
        command.chmod(0o755)
        for parent in reversed(CHECKOUT.parents):
            (self.root / parent.relative_to("/")).mkdir(mode=0o755, exist_ok=True)


class BareMachine(Machine):
    """Has what Debian's smallest installation has; its user may call `sudo`."""

    def __init__(self, directory: Path, bound: Mapping[Path, str]) -> None:
        super().__init__(directory, bare_machine(), bound)

    def prepare(self) -> None:
        rule = self.root / "etc/sudoers.d/people"
        rule.write_text(f"{USER} ALL=(ALL) NOPASSWD: ALL\n")
        rule.chmod(0o440)
