"""The daemon that runs, or does not: who holds the state directory, whether it answers, and which version it is."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from ccm_orchestrator import __version__
from ccm_orchestrator.adapters.state_lock import PASSING
from ccm_orchestrator.client.address import of_this_machine
from ccm_orchestrator.errors import DaemonUnreachable
from ccm_orchestrator.settings import Settings
from ccm_orchestrator.setup.check import Check, Verdict

ANSWER_S = 4.0


@dataclass(frozen=True, slots=True)
class Holder:
    """Of the state directory's lock."""

    pid: int | None
    passing: bool
    """A command for a moment, not a daemon."""


def holder(state: Path) -> Holder | None:
    """None when nobody holds the lock. Does not keep it, and makes no file."""
    try:
        descriptor = os.open(state / "daemon.lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        words = os.pread(descriptor, 32, 0).decode("ascii", "replace").split()
        return Holder(int(words[0]) if words and words[0].isdigit() else None, PASSING in words)
    finally:
        os.close(descriptor)
    return None


def daemon(settings: Settings) -> Iterator[Check]:
    """Runs and answers, does not run, or hangs; and nobody else has its port."""
    state = settings.state_directory
    held, url = holder(state), address(settings)
    answer = health(url)
    if held is None or held.passing:
        yield stopped(settings, answer is not None)
        return
    if answer is None:
        yield hung(held)
        return
    yield Check("daemon", Verdict.OK, f"process {held.pid} answers at {url}")
    if answer.status_code != 200:
        why = "Nothing is claimed until it is ready."
        fix = "Wait a minute; then look into its log."
        yield Check(
            "readiness", Verdict.WARN, f"not ready: {answer.json()['status']}", why, fix, f"ls -t {state / 'logs'}"
        )
    yield from running_version(state)


def address(settings: Settings) -> str:
    """Where it says that it answers: its flags may differ from the configuration."""
    try:
        return settings.url_file.read_text(encoding="utf-8").strip() or settings.api_url
    except OSError:
        return settings.api_url


def health(url: str) -> httpx.Response | None:
    """The answer of a daemon of ours, ready or not."""
    try:
        with httpx.Client(timeout=ANSWER_S, trust_env=False) as client:
            answer = client.get(f"{url}/health")
            said = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return None
    return answer if isinstance(said, dict) and "status" in said else None


def stopped(settings: Settings, somebody_answers: bool) -> Check:
    """No daemon holds the state directory: is its port free for one?"""
    refused = _refused(settings)
    if refused is None:
        return Check("daemon", Verdict.OK, f"does not run; {settings.api_url} is free")
    owner = "a daemon with another state directory" if somebody_answers else "another program"
    why, fix = "The daemon's API listens there, and it cannot.", "Choose another port, or stop what has this one."
    command = f"ccm-orchestrator config set api.port {_free_port(settings, refused)}"
    found = f"{settings.api_url} is taken by {owner}: {refused.strerror}"
    return Check("daemon", Verdict.FAIL, found, why, fix, command)


def other_port(settings: Settings) -> int | None:
    """A free one, when the port that a daemon would listen on is somebody else's; None when it can have it."""
    held = holder(settings.state_directory)
    refused = _refused(settings) if held is None or held.passing else None
    return None if refused is None or refused.errno != errno.EADDRINUSE else _free_port(settings, refused)


def _refused(settings: Settings) -> OSError | None:
    """Why nobody can listen where a daemon would."""
    with closing(socket.socket(_family(settings))) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.api.host, settings.api.port))
        except OSError as error:
            return error
    return None


def _free_port(settings: Settings, refused: OSError) -> int:
    with closing(socket.socket(_family(settings))) as probe:
        probe.bind((settings.api.host if refused.errno == errno.EADDRINUSE else "", 0))
        port: int = probe.getsockname()[1]
        return port


def _family(settings: Settings) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in settings.api.host else socket.AF_INET


def hung(held: Holder) -> Check:
    why = "Nothing is claimed or recorded. Agents go on, and the next daemon takes them over."
    if held.pid is None or not psutil.pid_exists(held.pid):
        found = "somebody holds the lock of the state directory, and is not to be seen from here"
        return Check(
            "daemon", Verdict.FAIL, found, why, "Look for it on the machine or in the container that it runs in."
        )
    if psutil.Process(held.pid).status() == psutil.STATUS_STOPPED:
        found = f"process {held.pid} is stopped (SIGSTOP)"
        return Check("daemon", Verdict.FAIL, found, why, "Let it go on.", f"kill -CONT {held.pid}")
    found = f"process {held.pid} holds the state directory and does not answer"
    fix = "If it is not just starting: end it, then start it anew."
    return Check("daemon", Verdict.FAIL, found, why, fix, f"kill {held.pid}")


def running_version(state: Path) -> Iterator[Check]:
    try:
        url, token = of_this_machine(state)
        with httpx.Client(timeout=ANSWER_S, trust_env=False) as client:
            said = client.get(f"{url}/api/status", headers={"Authorization": f"Bearer {token}"}).json()
    except (DaemonUnreachable, httpx.HTTPError, ValueError):
        return
    yield version(str(said.get("version", "")))


def outdated(state: Path) -> bool:
    """A daemon runs and is another version than this command: it was upgraded since, or taken back."""
    return any(check.verdict is Verdict.WARN for check in running_version(state))


def version(running: str) -> Check:
    if running == __version__:
        return Check("version", Verdict.OK, running)
    why = "It was upgraded while the daemon ran; the daemon is still the old program."
    fix = "Start it anew: agents go on."
    command = "ccm-orchestrator service restart"
    return Check("version", Verdict.WARN, f"the daemon is {running}, this command is {__version__}", why, fix, command)
