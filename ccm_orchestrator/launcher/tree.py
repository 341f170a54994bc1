"""Processes below the launcher: who they are, how much memory they hold, and ending them all."""

from __future__ import annotations

import posix
import sys
import time

from ccm_orchestrator.launcher.records import read_bytes
from ccm_orchestrator.launcher.signals import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

try:
    import _ctypes
except ImportError:
    _ctypes = None  # type: ignore[assignment] # a Python without libffi: no prctl

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PAGE_BYTES = posix.sysconf("SC_PAGE_SIZE")
_TERM_GRACE_S = 1.0
_KILL_PATIENCE_S = 10.0
"""A process in an uninterruptible wait does not die; it is left to the kernel."""


def start_time(pid: int) -> str:
    """Linux: field 22 of `/proc/PID/stat`. Elsewhere: the Unix time now, so ask right after the birth."""
    if not sys.platform.startswith("linux"):
        return f"{time.time():.2f}"
    return read_bytes(f"/proc/{pid}/stat").rpartition(b")")[2].split()[19].decode()


def boot_id() -> str:
    """Empty where the system has none."""
    try:
        return read_bytes("/proc/sys/kernel/random/boot_id").decode().strip()
    except OSError:
        return ""


def die_with_parent(parent: int) -> None:
    """Asks the kernel to kill this process when its parent dies (Linux). A parent that died meanwhile counts, too."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if posix.getppid() != parent:
        posix._exit(1)


def adopt_orphans() -> None:
    """Processes whose parent dies below this one become its children (Linux), whatever group or session they chose."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, value: int) -> None:
    """By the C core of ctypes: ctypes itself costs 3 ms."""
    if _ctypes is not None and sys.platform.startswith("linux"):
        ourselves = _ctypes.dlopen(None, 0)  # type: ignore[arg-type] # it takes None
        prctl = _ctypes.dlsym(ourselves, "prctl")
        _ctypes.call_function(prctl, (option, value, 0, 0, 0))


def descendants(root: int) -> list[int]:
    """Parents before children. Empty where there is no `/proc`."""
    found: list[int] = []
    waiting = [root]
    while waiting:
        children = _children(waiting.pop())
        found += children
        waiting += children
    return found


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for task in posix.listdir(f"/proc/{pid}/task"):
            found += map(int, read_bytes(f"/proc/{pid}/task/{task}/children").split())
    except OSError:
        return found
    return found


def private_bytes(pids: list[int]) -> int:
    """Resident memory without what is shared with files, such as the program itself."""
    total = 0
    for pid in pids:
        try:
            resident, shared = read_bytes(f"/proc/{pid}/statm").split()[1:3]
        except (OSError, ValueError):
            continue
        total += (int(resident) - int(shared)) * _PAGE_BYTES
    return total


def signal_all(pids: list[int], number: int) -> None:
    for pid in pids:
        try:
            posix.kill(pid, number)
        except ProcessLookupError:
            continue


def signal_group(group: int, number: int) -> None:
    try:
        posix.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return


def reap() -> bool:
    """Buries dead children; False when there are none left, dead or alive."""
    try:
        while posix.waitpid(-1, posix.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def sweep(group: int, others: Callable[[], list[int]]) -> list[int]:
    """Ends what is left of the agent's processes: asked first, forced a second later. Returns their process ids.

    `others` names processes that are known from elsewhere (a control group).
    """
    swept: dict[int, None] = {}
    started = time.monotonic()
    while _anything_left(group) and (elapsed_s := time.monotonic() - started) < _KILL_PATIENCE_S:
        left = sorted({*descendants(posix.getpid()), *others()})
        fresh = [pid for pid in left if pid not in swept]
        swept.update(dict.fromkeys(fresh))
        if elapsed_s > _TERM_GRACE_S:
            signal_group(group, signal.SIGKILL)
            signal_all(left, signal.SIGKILL)
        elif fresh or not swept:
            signal_group(group, signal.SIGTERM)
            signal_all(fresh, signal.SIGTERM)
            signal_all(fresh, signal.SIGCONT)
        time.sleep(0.01)
    return list(swept)


def _anything_left(group: int) -> bool:
    if reap():
        return True
    try:
        posix.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def foreground(terminal: int, group: int) -> None:
    """Gives the terminal's keys to a process group; nothing where there is no terminal."""
    try:
        posix.tcsetpgrp(terminal, group)
    except OSError:
        return
