"""One daemon per state directory, for as long as its process lives."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType

from ccm_orchestrator.errors import StateDirectoryBusy, StoreUnavailable


class StateLock:
    """A kernel lock on `daemon.lock`: it goes with the process, however that ends, so a stale file means nothing."""

    def __init__(self, state_directory: Path) -> None:
        self.path = state_directory / "daemon.lock"
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """A second call does nothing. Raises: StateDirectoryBusy, StoreUnavailable."""
        if self._descriptor is not None:
            return
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreUnavailable(
                f"The state directory {self.path.parent} cannot be used: {error.strerror}.", path=self.path
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise self._refusal(error, holder) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> StateLock:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _refusal(self, error: OSError, holder: str) -> StateDirectoryBusy | StoreUnavailable:
        directory = self.path.parent
        if not isinstance(error, BlockingIOError):
            return StoreUnavailable(f"The file {self.path} cannot be locked: {error.strerror}.", path=self.path)
        return StateDirectoryBusy(
            f"Another daemon (process {holder or 'unknown'}) runs on the state directory {directory}: "
            "stop it first, or give this one a directory of its own.",
            path=self.path,
            pid=int(holder) if holder.isdigit() else None,
        )
