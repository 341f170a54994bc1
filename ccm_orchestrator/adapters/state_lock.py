"""One daemon per state directory, for as long as its process lives."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType

from ccm_orchestrator.directories import make_directory
from ccm_orchestrator.errors import StateDirectoryBusy, StoreUnavailable

LOOK_INTERVAL_S = 0.02
PATIENCE_S = 10.0
PASSING = "passing"


class StateLock:
    """A kernel lock on `daemon.lock`: it goes with the process, however that ends, so a stale file means nothing."""

    def __init__(self, state_directory: Path, passing: bool = False) -> None:
        """`passing`: held by a command for a moment, in the place of a daemon; whoever else wants it waits."""
        self.path = state_directory / "daemon.lock"
        self._passing = passing
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Waits while others only pass. A second call does nothing. Raises: StateDirectoryBusy, StoreUnavailable."""
        if self._descriptor is not None:
            return
        descriptor = self._open()
        try:
            self._lock(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()} {PASSING if self._passing else ''}".strip().encode() + b"\n", 0)
        self._descriptor = descriptor

    def release(self) -> None:
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> StateLock:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _open(self) -> int:
        try:
            make_directory(self.path.parent)
            return os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreUnavailable(
                f"The state directory {self.path.parent} cannot be used: {error.strerror}.", path=self.path
            ) from error

    def _lock(self, descriptor: int) -> None:
        """A holder is believed to stay when two looks in a row say so: the first may see one that was killed."""
        deadline, last_holder = time.monotonic() + PATIENCE_S, ""
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except OSError as error:
                holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
                stays = holder == last_holder != "" and PASSING not in holder
                if not isinstance(error, BlockingIOError) or stays or time.monotonic() > deadline:
                    raise self._refusal(error, holder) from error
                last_holder = holder
            time.sleep(LOOK_INTERVAL_S)

    def _refusal(self, error: OSError, holder: str) -> StateDirectoryBusy | StoreUnavailable:
        directory = self.path.parent
        if not isinstance(error, BlockingIOError):
            return StoreUnavailable(f"The file {self.path} cannot be locked: {error.strerror}.", path=self.path)
        pid = holder.removesuffix(PASSING).strip()
        return StateDirectoryBusy(
            f"Another daemon (process {pid or 'unknown'}) runs on the state directory {directory}: "
            "stop it first, or give this one a directory of its own.",
            path=self.path,
            pid=int(pid) if pid.isdigit() else None,
        )
