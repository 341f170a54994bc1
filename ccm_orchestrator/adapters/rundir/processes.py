"""Processes that cannot be confused: nothing is signalled whose start time is not the recorded one."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

import psutil

from ccm_orchestrator.adapters.rundir.layout import RUN_VARIABLE
from ccm_orchestrator.domain.run import ProcessRef

_BIRTH_TOLERANCE_S = 2.0
"""Where the kernel has no start time in ticks, a launcher notes the clock right after the birth."""
_DEAD = frozenset("ZX")


def alive(process: ProcessRef) -> bool:
    """A zombie is dead."""
    if not sys.platform.startswith("linux"):
        return _alive_by_clock(process)
    try:
        stat = Path(f"/proc/{process.pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False
    fields = stat.rpartition(b")")[2].split()
    return fields[0].decode() not in _DEAD and fields[19].decode() == process.start


def _alive_by_clock(process: ProcessRef) -> bool:
    try:
        found = psutil.Process(process.pid)
        born_s, status = found.create_time(), found.status()
    except psutil.Error:
        return False
    return bool(status != psutil.STATUS_ZOMBIE and abs(born_s - float(process.start)) < _BIRTH_TOLERANCE_S)


def send(process: ProcessRef, number: signal.Signals) -> bool:
    """False when it is not alive (any more)."""
    if not hasattr(os, "pidfd_open"):
        return alive(process) and _signal(process.pid, number)
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    try:
        if not alive(process):
            return False
        signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)
    return True


def send_group(leader: ProcessRef, number: signal.Signals) -> bool:
    """To the leader's process group, as long as the leader lives and so keeps the group's number."""
    if not alive(leader):
        return False
    try:
        os.killpg(leader.pid, number)
    except ProcessLookupError:
        return False
    return True


def of_run(run_id: str, roots: Iterable[ProcessRef], group: Path | None) -> list[ProcessRef]:
    """What belongs to a run: the roots' descendants, what carries the run's mark, and its control group's members.

    The roots themselves are left out. Looks at every process of the machine: for rare use.
    """
    everyone = {process.pid: process for process in psutil.process_iter()}
    known = {root.pid for root in roots if alive(root)}
    members = set(known)
    members |= {pid for pid, process in everyone.items() if _marked(process, run_id)} | _members(group)
    parents = {pid: _parent(process) for pid, process in everyone.items()}
    while more := {pid for pid, parent in parents.items() if parent in members} - members:
        members |= more
    return [reference(everyone[pid]) for pid in members - known - {os.getpid()} if pid in everyone]


def _marked(process: psutil.Process, run_id: str) -> bool:
    try:
        return process.environ().get(RUN_VARIABLE) == run_id
    except (psutil.Error, OSError):
        return False


def _parent(process: psutil.Process) -> int | None:
    try:
        return process.ppid()
    except psutil.Error:
        return None


def _members(group: Path | None) -> set[int]:
    try:
        return set(map(int, (group / "cgroup.procs").read_text().split())) if group else set()
    except OSError:
        return set()


def reference(process: psutil.Process) -> ProcessRef:
    """By which it is known again, as long as this boot lasts."""
    if not sys.platform.startswith("linux"):
        return ProcessRef(process.pid, str(process.create_time()))
    try:
        stat = Path(f"/proc/{process.pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return ProcessRef(process.pid, "")
    return ProcessRef(process.pid, stat.rpartition(b")")[2].split()[19].decode())


def _signal(pid: int, number: signal.Signals) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def boot_id() -> str:
    """Of this boot of the machine; empty where the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
