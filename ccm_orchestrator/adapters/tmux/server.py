"""The tmux server: where it is, how it is started and configured, and what an earlier daemon left behind.

Blocking; every call to tmux ends in time.
"""

from __future__ import annotations

import concurrent.futures
import importlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from ccm_orchestrator.adapters.tmux.commands import NotConnected
from ccm_orchestrator.adapters.tmux.config import HOME_WINDOW, WIDTH_AND_HEIGHT, config_text
from ccm_orchestrator.adapters.tmux.names import encoded
from ccm_orchestrator.directories import make_directory
from ccm_orchestrator.errors import TerminalError, TerminalUnavailable, TmuxMissing

OLDEST = (3, 2)
NO_CONTROL_MODE_SINCE = (3, 7)
"""From here on panes were seen frozen by a control client in spite of all its flags."""

START_POLL_S = 0.05

CLIENT_FLAGS = "no-output,ignore-size"
"""A client without output cannot make the server wait for its reader, and one without size does not shrink windows."""

_KEPT_ENVIRONMENT = frozenset({"HOME", "LANG", "LANGUAGE", "LOGNAME", "PATH", "SHELL", "TZ", "USER", "XDG_RUNTIME_DIR"})


@dataclass(frozen=True, slots=True)
class Address:
    """A tmux server, running or not, and our session in it."""

    binary: str
    socket: str
    socket_dir: Path | None
    """TMUX_TMPDIR; None: tmux's default."""
    session: str
    start_command: tuple[str, ...] = ()
    """Starts the server where a service manager keeps it; empty: we start it, as a child that outlives us."""

    def argv(self, *arguments: str) -> list[str]:
        """A tmux command that never starts a server by itself."""
        return [self.binary, "-u", "-N", "-L", self.socket, *arguments]

    def environment(self) -> dict[str, str]:
        return clean_environment(os.environ, self.socket_dir)

    @property
    def socket_path(self) -> Path:
        base = self.socket_dir or Path(os.environ.get("TMUX_TMPDIR") or "/tmp")
        return base.resolve() / f"tmux-{os.getuid()}" / self.socket


def clean_environment(outer: Mapping[str, str], socket_dir: Path | None) -> dict[str, str]:
    """Any window can read what a tmux server was started with, so it gets no more than it needs."""
    kept = {name: value for name, value in outer.items() if name in _KEPT_ENVIRONMENT or name.startswith("LC_")}
    directory = str(socket_dir) if socket_dir else outer.get("TMUX_TMPDIR")
    return kept | {"TERM": "xterm-256color"} | ({"TMUX_TMPDIR": directory} if directory else {})


def find_tmux() -> tuple[str, str]:
    """Path and version. Raises TmuxMissing when there is none that is new enough."""
    binary = shutil.which("tmux")
    if binary is None:
        raise TmuxMissing
    try:
        said = subprocess.run([binary, "-V"], capture_output=True, text=True, check=True, timeout=10).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise TmuxMissing(f"{binary} cannot be run: {error}") from error
    version = said.strip().removeprefix("tmux ")
    if (number := version_number(version)) is not None and number < OLDEST:
        needed = ".".join(map(str, OLDEST))
        raise TmuxMissing(f"{binary} is tmux {version}; version {needed} or newer is needed", version=version)
    return binary, version


def version_number(version: str) -> tuple[int, int] | None:
    """`3.3a` → (3, 3), `next-3.8` → (3, 8); None for a development build without a number."""
    match = re.search(r"(\d+)\.(\d+)", version)
    return None if match is None else (int(match[1]), int(match[2]))


def control_mode_is_safe(version: str) -> bool:
    number = version_number(version)
    return number is not None and number < NO_CONTROL_MODE_SINCE


def run_tmux(address: Address, arguments: Sequence[str], timeout_s: float) -> subprocess.CompletedProcess[bytes]:
    """Raises NotConnected when there is no server, TerminalUnavailable when it does not answer in time."""
    argv = [encoded(word) for word in address.argv(*arguments)]
    try:
        done = subprocess.run(argv, capture_output=True, env=address.environment(), check=False, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise TerminalUnavailable(f"tmux (socket {address.socket}) did not answer within {timeout_s:g} s") from None
    except FileNotFoundError:
        raise TmuxMissing from None
    complaint = done.stderr.decode(errors="replace").strip()
    if done.returncode and complaint.startswith(("no server running", "error connecting")):
        raise NotConnected(f"tmux does not run: {complaint}")
    return done


def session_is_missing(message: str) -> bool:
    """A server without any session speaks of targets, in one wording or another."""
    return any(words in message for words in ("can't find session", "no current target", "no sessions"))


def kill_left_over_clients(address: Address, timeout_s: float, own_pid: int | None = None) -> list[int]:
    """Ends control clients that an earlier daemon left behind; returns their pids.

    They are known by their flag: a person's control-mode terminal wants output.
    """
    listing = run_tmux(
        address, ["list-clients", "-F", "#{client_control_mode} #{client_pid} #{client_flags}"], timeout_s
    )
    killed = []
    for line in listing.stdout.decode(errors="replace").splitlines():
        control, pid, flags = line.split(" ", 2)
        left_over = control == "1" and "no-output" in flags.split(",") and int(pid) != own_pid
        if left_over and _kill_tmux_client(int(pid)):
            killed.append(int(pid))
    return killed


def _kill_tmux_client(pid: int) -> bool:
    try:
        process = psutil.Process(pid)
        if not process.name().startswith("tmux"):
            return False
        process.send_signal(signal.SIGKILL)
    except psutil.NoSuchProcess:
        return False
    return True


def ensure_server(address: Address, config_path: Path, timeout_s: float, own_client_pid: int | None = None) -> None:
    """A server with our options and our session, without control clients but `own_client_pid`."""
    prepare_files(address, config_path)
    try:
        kill_left_over_clients(address, timeout_s, own_client_pid)
        run_tmux(address, ["source-file", str(config_path)], timeout_s)
    except NotConnected:
        _start(address, config_path, timeout_s)
    ensure_session(address, timeout_s)


def prepare_files(address: Address, config_path: Path) -> None:
    """What a server reads, and where its socket will be."""
    write_config(config_path)
    if address.socket_dir is not None:
        make_directory(address.socket_dir)  # tmux would silently use /tmp instead


def write_config(path: Path) -> None:
    """Whole or not at all, readable by us only."""
    make_directory(path.parent)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=path.name, delete=False) as file:
        file.write(config_text())
    Path(file.name).replace(path)


def server_argv(address: Address, config_path: Path) -> list[str]:
    """What starts the server in the background. It stays when its last window closes."""
    return [address.binary, "-u", "-L", address.socket, "-f", str(config_path), "start-server"]


def foreground_argv(address: Address, config_path: Path) -> list[str]:
    """What a service manager runs: the server itself, which goes nowhere."""
    return [address.binary, "-D", "-u", "-L", address.socket, "-f", str(config_path)]


def _start(address: Address, config_path: Path, timeout_s: float) -> None:
    if address.start_command:
        _have_started(address, timeout_s)
        return
    argv = server_argv(address, config_path)
    environment = address.environment()
    home = environment.get("HOME") or "/"
    try:
        done = subprocess.run(
            argv, capture_output=True, env=environment, cwd=home, check=False, timeout=timeout_s, text=True
        )
    except subprocess.TimeoutExpired:
        raise TerminalUnavailable(f"`{shlex.join(argv)}` did not come back within {timeout_s:g} s") from None
    if done.returncode:
        raise TerminalUnavailable(f"`{shlex.join(argv)}` failed: {done.stderr.strip()}")


def _have_started(address: Address, timeout_s: float) -> None:
    """By whoever keeps the server: one of ours would end with the daemon's own service, and all agents with it.

    The command may lack the right to start it; its keeper restarts the server anyway, so it is waited for.
    """
    asked = subprocess.run(address.start_command, capture_output=True, check=False, timeout=timeout_s, text=True)
    deadline_s = time.monotonic() + timeout_s
    while True:
        try:
            run_tmux(address, ["show-options", "-s"], timeout_s)
        except NotConnected:
            if time.monotonic() > deadline_s:
                said = asked.stderr.strip() or f"it ended with {asked.returncode}"
                raise TerminalUnavailable(
                    f"The tmux server is kept by its own service, which does not start it "
                    f"(`{shlex.join(address.start_command)}`: {said})."
                ) from None
            time.sleep(START_POLL_S)
        else:
            return


def ensure_session(address: Address, timeout_s: float) -> None:
    """Creates our session where it is missing. Raises: TerminalUnavailable."""
    if run_tmux(address, ["has-session", "-t", f"={address.session}"], timeout_s).returncode == 0:
        return
    _in_time(lambda: _create_session(address), timeout_s)


def _create_session(address: Address) -> None:
    libtmux: Any = importlib.import_module("libtmux")  # a tenth of a daemon's start, and usually the session is there
    server = libtmux.Server(socket_path=str(address.socket_path))
    width, height = WIDTH_AND_HEIGHT
    try:
        if not server.has_session(address.session):
            server.new_session(address.session, x=width, y=height, window_command=shlex.join(HOME_WINDOW))
    except libtmux.exc.LibTmuxException as error:
        if not server.has_session(address.session):  # else somebody was faster
            raise TerminalUnavailable(f"tmux would not create the session {address.session}: {error}") from error


def _in_time(work: Callable[[], None], timeout_s: float) -> None:
    """libtmux waits without a limit: it does so on a thread that no one has to wait for."""
    future: concurrent.futures.Future[None] = concurrent.futures.Future()

    def run() -> None:
        try:
            work()
            future.set_result(None)
        except (TerminalError, OSError) as error:
            future.set_exception(error)

    threading.Thread(target=run, name="libtmux", daemon=True).start()
    try:
        future.result(timeout_s)
    except concurrent.futures.TimeoutError:
        raise TerminalUnavailable(f"tmux did not answer within {timeout_s:g} s") from None
