"""The processes of the stack: none outlives the thread that started it, where the kernel offers such a bond."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from ccm_orchestrator.devstack.problems import DevStackError

POLL_S = 0.01
_STOP_LIMIT_S = 20.0
_LOG_TAIL_LINES = 15
_SERVER_USERS = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    """Whom a program runs as, where that is not ourselves."""

    user: int
    group: int


def server_account() -> Account | None:
    """PostgreSQL refuses to run as root. None: as ourselves."""
    if os.geteuid() != 0:
        return None
    for name in _SERVER_USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise DevStackError("PostgreSQL does not run as root, and there is no user `postgres`; run this as another user.")


class Privileges(TypedDict, total=False):
    """Arguments of `subprocess` that change the user."""

    user: int
    group: int
    extra_groups: list[int]


def reaches(account: Account, directory: Path) -> bool:
    """Whether it could work in there: what lies below a private directory is out of its reach."""
    for each in (directory, *directory.parents):
        if each.exists():
            done = subprocess.run(["test", "-x", str(each)], check=False, cwd="/", **privileges(account))
            return done.returncode == 0
    return False


class Child:
    """One program with its log. `start` must be called from a thread that lives as long as the program shall."""

    def __init__(self, name: str, argv: Sequence[str | Path], log: Path, account: Account | None = None) -> None:
        self.log = log
        self.name = name
        self._argv = [str(word) for word in argv]
        self._account = account
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def ended(self) -> bool:
        """By itself."""
        return self._process is not None and self._process.poll() is not None

    def start(self, orphaned: signal.Signals) -> None:
        """`orphaned`: the signal it gets when the starting thread ends."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*_bond(orphaned), *self._argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
                env={"PATH": os.defpath, "LANG": "C.UTF-8"},
                **privileges(self._account),
            )

    def send(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def wait_until(self, ready: Callable[[], bool], limit_s: float) -> None:
        """Raises: DevStackError with the end of its log, when it ends or is not ready in time."""
        deadline = time.monotonic() + limit_s
        while not ready():
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                trouble = "ended while it started" if ended else f"was not ready after {limit_s:.0f} s"
                raise DevStackError(f"{self.name} {trouble}; its log {self.log} says:\n{self._log_tail()}")
            time.sleep(POLL_S)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Returns when it has ended; it is killed when it does not. Tolerates being called twice."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(_STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _log_tail(self) -> str:
        return "\n".join(self.log.read_text("utf-8", "replace").splitlines()[-_LOG_TAIL_LINES:])


def run_as(account: Account | None, argv: Sequence[str | Path]) -> None:
    """A program to its end. Raises: DevStackError with its words."""
    done = subprocess.run(
        [str(word) for word in argv],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd="/",
        check=False,
        text=True,
        **privileges(account),
    )
    if done.returncode:
        raise DevStackError(f"{argv[0]} failed ({done.returncode}):\n{done.stdout.strip()}")


def hand_over(path: Path, account: Account | None) -> None:
    if account is not None:
        os.chown(path, account.user, account.group)


def privileges(account: Account | None) -> Privileges:
    if account is None:
        return {}
    return {"user": account.user, "group": account.group, "extra_groups": []}


def _bond(orphaned: signal.Signals) -> list[str]:
    setpriv = shutil.which("setpriv")  # of util-linux: neither macOS nor BusyBox knows the bond
    return [setpriv, "--pdeathsig", orphaned.name.removeprefix("SIG"), "--"] if setpriv else []
