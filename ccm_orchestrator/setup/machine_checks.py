"""The machine itself: clock, memory, limits, disks, terminal."""

from __future__ import annotations

import os
import platform
import resource
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import psutil

from ccm_orchestrator.setup.check import Check, Verdict

RELEASED = datetime(2026, 1, 1, tzinfo=UTC)
LEAST_FILES = 1024
FILES_PER_AGENT = 16
AGENT_BYTES = 400_000_000
LEAST_WATCHES, LEAST_INSTANCES = 8192, 32
LEAST_INODES = 10_000
NETWORK_DISKS = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "9p", "afs", "ceph", "glusterfs"})


def clock(now: datetime, newest_file_s: float | None) -> Check:
    """`newest_file_s`: when something was last written here, by the clock of then."""
    found, command = f"{now:%Y-%m-%d %H:%M:%S} UTC", "sudo timedatectl set-ntp true"
    why = "Leases, retries and certificates go by it."
    if now < RELEASED:
        return Check("clock", Verdict.FAIL, f"{found}: before this program was made", why, "Set the clock.", command)
    if newest_file_s is not None and newest_file_s - now.timestamp() > 60:
        ahead = newest_file_s - now.timestamp()
        return Check(
            "clock",
            Verdict.WARN,
            f"{found}: the database was written {ahead:.0f} s later",
            why,
            "Set the clock.",
            command,
        )
    return Check("clock", Verdict.OK, found)


def clock_here(database: Path) -> Check:
    written = database.stat().st_mtime if database.exists() else None
    return clock(datetime.now(UTC), written)


def open_files(soft: int, agents: int) -> Check:
    needed = max(LEAST_FILES, agents * FILES_PER_AGENT)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return Check("open files", Verdict.OK, f"{soft} allowed")
    why = "The tmux server needs one for each window, the daemon some for each agent; beyond the limit nothing starts."
    fix = "Raise it where the daemon is started; the shipped services do."
    return Check("open files", Verdict.WARN, f"{soft} allowed, {needed} wanted", why, fix, f"ulimit -n {needed}")


def open_files_here(agents: int) -> Check:
    return open_files(resource.getrlimit(resource.RLIMIT_NOFILE)[0], agents)


def inotify(directory: Path = Path("/proc/sys/fs/inotify")) -> Iterator[Check]:
    if not directory.is_dir():
        return
    for name, least in (("max_user_watches", LEAST_WATCHES), ("max_user_instances", LEAST_INSTANCES)):
        allowed = int((directory / name).read_text())
        if allowed < least:
            why = "Events of agents are noticed by the slow sweep only, seconds late."
            command = f"sudo sysctl -w fs.inotify.{name}={least}"
            found = f"{name} is {allowed}, {least} wanted"
            yield Check("inotify", Verdict.WARN, found, why, "Raise it, and write it to /etc/sysctl.d.", command)
            return
    yield Check("inotify", Verdict.OK, "limits are high enough")


def memory(total: int, available: int, swap: int, agents: int) -> Iterator[Check]:
    """For as many agents as may run at the same time."""
    wanted = agents * AGENT_BYTES
    found = f"{available / 1e9:.1f} of {total / 1e9:.1f} GB free"
    if total >= wanted:
        yield Check("memory", Verdict.OK, found)
    else:
        fit = max(1, total // AGENT_BYTES)
        why = f"{agents} agents of about {AGENT_BYTES / 1e6:.0f} MB do not fit; the kernel ends some of them."
        yield Check(
            "memory", Verdict.WARN, found, why, "Let fewer run.", f"ccm-orchestrator config set max_agents {fit}"
        )
    if swap or total >= 2 * wanted:
        yield Check("swap", Verdict.OK, f"{swap / 1e9:.1f} GB")
    else:
        why = "When memory runs short, agents are ended instead of slowed down."
        yield Check("swap", Verdict.WARN, "none, and memory is not plenty", why, "Add a swap file, or let fewer run.")


def memory_here(agents: int) -> Iterator[Check]:
    found = psutil.virtual_memory()
    return memory(found.total, found.available, psutil.swap_memory().total, agents)


def inodes(path: Path) -> Check:
    free, total = os.statvfs(nearest(path)).f_favail, os.statvfs(nearest(path)).f_files
    if total == 0 or free >= LEAST_INODES:
        return Check("inodes", Verdict.OK, f"{free} free" if total else "not counted by this file system")
    why = "Each run and each hook event is a file; without inodes none can be made."
    return Check("inodes", Verdict.FAIL, f"{free} free", why, "Delete small files, or choose another disk.")


def file_system(path: Path) -> Check:
    return kind_of_disk(path, {part.mountpoint: part.fstype for part in psutil.disk_partitions(all=True)})


def kind_of_disk(path: Path, mounts: Mapping[str, str]) -> Check:
    here = nearest(path).resolve()
    mount = next((str(place) for place in (here, *here.parents) if str(place) in mounts), "")
    kind = mounts.get(mount, "unknown")
    if kind.lower() not in NETWORK_DISKS:
        return Check("file system", Verdict.OK, kind)
    why = "SQLite's locks and inotify do not work over a network: tasks can be lost."
    fix = "Set `state_directory` to a disk of this machine."
    return Check("file system", Verdict.FAIL, f"{kind} at {mount}", why, fix)


def nearest(path: Path) -> Path:
    """The path, or the nearest of its parents that exists."""
    return next(parent for parent in (path, *path.parents) if parent.exists())


def terminal(environment: Mapping[str, str]) -> Iterator[Check]:
    locale = next((environment[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if environment.get(name)), "")
    if "utf" in locale.lower() or (not locale and platform.system() == "Darwin"):
        yield Check("locale", Verdict.OK, locale or "the system's")
    else:
        why = "Windows of agents show question marks instead of what is not ASCII."
        yield Check("locale", Verdict.WARN, locale or "none", why, "Choose one with UTF-8.", "export LANG=C.UTF-8")
    term = environment.get("TERM", "")
    if term not in ("", "dumb", "unknown"):
        yield Check("terminal", Verdict.OK, term)
    else:
        yield Check("terminal", Verdict.OK, "none: `attach` needs one, everything else does not")
