"""The memory limit of one agent and everything it starts: by a control group where we were given one, else measured."""

from __future__ import annotations

import posix

from ccm_orchestrator.launcher.records import read_bytes
from ccm_orchestrator.launcher.tree import descendants, private_bytes

_CALM_S = 2.0
_TENSE_S = 0.25
"""Between two measurements; the short one from half the limit on."""
_FILES = {
    "memory.max": ("memory.peak", "memory.events"),
    "memory.limit_in_bytes": ("memory.max_usage_in_bytes", "memory.oom_control"),
}
"""The limit's file in version 2 and 1 of control groups, with those that hold the peak and `oom_kill N`."""


class Memory:
    """Measured: the private memory of the process tree is read now and then. Where there is no `/proc`: no limit."""

    group: str | None = None
    """The control group's directory."""

    def __init__(self, limit_bytes: int | None) -> None:
        self.limit_bytes = limit_bytes
        self.peak_bytes: int | None = None
        self._used_bytes = 0

    @property
    def interval_s(self) -> float:
        return _TENSE_S if self.limit_bytes and self._used_bytes * 2 > self.limit_bytes else _CALM_S

    def exceeded(self) -> bool:
        self._used_bytes = private_bytes(descendants(posix.getpid()))
        self.peak_bytes = max(self.peak_bytes or 0, self._used_bytes)
        return bool(self.limit_bytes and self._used_bytes > self.limit_bytes)

    def join(self, pid: int) -> None:
        """Before the process becomes the agent."""

    def pids(self) -> list[int]:
        """Processes that the limit covers and that may not be ours by descent."""
        return []

    def killed_something(self) -> bool:
        """The kernel enforced the limit."""
        return False

    def close(self) -> None:
        """After the last process ended."""


class GroupMemory(Memory):
    """A child of the control group that we were given; the kernel enforces the limit."""

    interval_s = _CALM_S

    def __init__(self, group: str, limit_bytes: int) -> None:
        """Raises: OSError when the group cannot be made or cannot limit memory."""
        super().__init__(limit_bytes)
        posix.mkdir(group)
        self.group = group
        try:
            self._peak, self._events = self._set_limit(limit_bytes)
        except OSError:
            posix.rmdir(group)
            raise

    def _set_limit(self, limit_bytes: int) -> tuple[str, str]:
        for limit, (peak, events) in _FILES.items():
            if self._write(limit, str(limit_bytes)):
                return peak, events
        raise OSError("the control group has no memory controller")

    def _write(self, name: str, text: str) -> bool:
        try:
            descriptor = posix.open(f"{self.group}/{name}", posix.O_WRONLY)
        except FileNotFoundError:
            return False
        try:
            posix.write(descriptor, text.encode())
        finally:
            posix.close(descriptor)
        return True

    def _read(self, name: str) -> bytes:
        try:
            return read_bytes(f"{self.group}/{name}")
        except OSError:
            return b""

    def exceeded(self) -> bool:
        peak = self._read(self._peak).strip()
        self.peak_bytes = int(peak) if peak.isdigit() else self.peak_bytes
        return False

    def join(self, pid: int) -> None:
        self._write("cgroup.procs", str(pid))

    def pids(self) -> list[int]:
        return [int(pid) for pid in self._read("cgroup.procs").split()]

    def killed_something(self) -> bool:
        lines = [line.split() for line in self._read(self._events).splitlines()]
        return any(line[0] == b"oom_kill" and line[1] != b"0" for line in lines if len(line) == 2)

    def close(self) -> None:
        self.exceeded()
        try:
            posix.rmdir(self.group or "")
        except OSError:
            return


def limit_memory(limit_bytes: int | None, parent_group: str | None, run_id: str) -> Memory:
    """By a child of `parent_group` if that can be made."""
    if limit_bytes and parent_group:
        try:
            return GroupMemory(f"{parent_group}/ccm-{run_id}", limit_bytes)
        except OSError:
            return Memory(limit_bytes)
    return Memory(limit_bytes)
