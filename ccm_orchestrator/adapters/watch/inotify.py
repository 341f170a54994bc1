"""The watch on Linux."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

from asyncinotify import Event, Inotify, Mask, Watch

from ccm_orchestrator.adapters.rundir import lock
from ccm_orchestrator.adapters.rundir.layout import EXITED, LOCK, STARTED, STOP, Layout
from ccm_orchestrator.adapters.watch.pending import Pending
from ccm_orchestrator.errors import OrchestratorError
from ccm_orchestrator.ports.launching import Wakeup, WakeupKind

log = logging.getLogger(__name__)

_SPOOL = Mask.CLOSE_WRITE | Mask.MOVED_TO
_RUN = Mask.CLOSE_WRITE | Mask.MOVED_TO | Mask.MODIFY
_REGISTRY = Mask.CREATE | Mask.CLOSE_WRITE | Mask.MODIFY | Mask.MOVED_TO | Mask.DELETE
_ARRIVAL = Mask.CREATE | Mask.MOVED_TO
_OWN = (LOCK, STOP)
_RELEASE_LOOKS = 20
_RELEASE_LOOK_S = 0.005

Handler = Callable[[Event], None]


class InotifyWatch:
    def __init__(self, state_directory: Path) -> None:
        self._layout = Layout(state_directory)
        self._runs: set[str] = set()
        self._registries: set[Path] = set()
        self._sessions: dict[asyncio.AbstractEventLoop, _Session] = {}
        self._newest: _Session | None = None

    async def start(self) -> None:
        """Belongs to the running event loop from now on; what was added before is kept.

        The session of an event loop that hangs is left to that loop: closing its descriptor from here could hand the
        number to somebody else while that loop still listens to it.
        """
        session = self._newest = self._sessions[asyncio.get_running_loop()] = _Session(self._layout)
        for run_id in self._runs:
            session.add_run(run_id)
        for directory in self._registries:
            session.add_registry(directory)

    async def stop(self) -> None:
        """Ends what the running event loop started, and nothing of a newer one."""
        session = self._sessions.pop(asyncio.get_running_loop(), None)
        if session is None:
            return
        if session is self._newest:
            self._newest = None
        await session.close()

    def add_run(self, run_id: str) -> None:
        self._runs.add(run_id)
        if self._newest is not None:
            self._newest.add_run(run_id)

    def forget_run(self, run_id: str) -> None:
        self._runs.discard(run_id)
        if self._newest is not None:
            self._newest.forget_run(run_id)

    def add_registry(self, directory: Path) -> None:
        if directory not in self._registries:
            self._registries.add(directory)
            if self._newest is not None:
                self._newest.add_registry(directory)

    async def wakeups(self) -> AsyncIterator[Wakeup]:
        """Of the running event loop's session, so `start` comes first."""
        async for wakeup in self._sessions[asyncio.get_running_loop()].pending.take():
            yield wakeup


class _Session:
    """What belongs to one event loop."""

    def __init__(self, layout: Layout) -> None:
        self.pending = Pending()
        self._layout = layout
        self._inotify = _open()
        self._handlers: dict[int, list[Handler]] = {}
        self._run_watches: dict[str, list[Watch]] = {}
        self._registries: set[Path] = set()
        self._task = asyncio.create_task(self._listen())
        self._task.add_done_callback(self._deaf)

    async def close(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        self._inotify.close()

    async def _listen(self) -> None:
        async for event in self._inotify:
            if Mask.Q_OVERFLOW in event.mask:
                for kind in WakeupKind:
                    self._wake_all(kind)
            elif event.watch is not None:
                for handle in list(self._handlers.get(event.watch.wd, ())):
                    handle(event)
                if Mask.IGNORED in event.mask:
                    self._handlers.pop(event.watch.wd, None)

    def _deaf(self, task: asyncio.Task[None]) -> None:
        """Without this, nobody would notice that nothing is heard any more."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self.pending.fail(error)

    def _wake_all(self, kind: WakeupKind) -> None:
        self.pending.add(kind)
        for run_id in self._run_watches:
            self.pending.add(kind, run_id)

    def add_run(self, run_id: str) -> None:
        """What happened before the watch was there is told at once."""
        if run_id in self._run_watches:
            return
        directory = self._layout.run(run_id)
        watches = self._run_watches[run_id] = []
        try:
            watches.append(self._watch(self._layout.spool(run_id), _SPOOL, lambda event: self._spooled(run_id, event)))
            watches.append(self._watch(directory, _RUN, lambda event: self._changed(run_id, event)))
        except OSError as error:
            log.warning("changes of %s are found late, it cannot be watched: %s", directory, error.strerror)
        for kind in (WakeupKind.SPOOL, WakeupKind.EXIT, WakeupKind.STREAM):
            self.pending.add(kind, run_id)

    def forget_run(self, run_id: str) -> None:
        for watch in self._run_watches.pop(run_id, ()):
            with suppress(OSError):
                self._inotify.rm_watch(watch)

    def _watch(self, path: Path, mask: Mask, handle: Handler) -> Watch:
        """Raises: OSError."""
        watch = self._inotify.add_watch(path, mask | Mask.MASK_ADD | Mask.ONLYDIR)
        self._handlers.setdefault(watch.wd, []).append(handle)
        return watch

    def _spooled(self, run_id: str, event: Event) -> None:
        if event.name is not None:
            self.pending.add(WakeupKind.SPOOL, run_id)

    def _changed(self, run_id: str, event: Event) -> None:
        name = str(event.name)
        if name in (STARTED, EXITED) and Mask.MOVED_TO in event.mask:
            self.pending.add(WakeupKind.EXIT, run_id)
        elif name == LOCK and Mask.CLOSE_WRITE in event.mask:
            self._released(run_id, _RELEASE_LOOKS)
        elif event.name is not None and name not in _OWN and not name.endswith(".tmp"):
            self.pending.add(WakeupKind.STREAM, run_id)

    def _released(self, run_id: str, looks: int) -> None:
        """A launcher ended. The kernel tells that it closed the lock's file just before it frees the lock."""
        if looks and lock.held(self._layout.run(run_id)):
            asyncio.get_running_loop().call_later(_RELEASE_LOOK_S, self._released, run_id, looks - 1)
        else:
            self.pending.add(WakeupKind.EXIT, run_id)

    def add_registry(self, directory: Path) -> None:
        """Until the directory exists, its nearest existing ancestor is watched for arrivals."""
        try:
            while directory not in self._registries and not self._watch_registry(directory):
                ancestor = next(path for path in directory.parents if path.is_dir())
                if self._await(directory, ancestor) and not _next_step(ancestor, directory).is_dir():
                    return
        except OSError as error:
            log.warning("changes in %s are found late, it cannot be watched: %s", directory, error.strerror)

    def _watch_registry(self, directory: Path) -> bool:
        def changed(event: Event) -> None:
            self.pending.add(WakeupKind.REGISTRY, name=str(event.name) if event.name else None)
            if Mask.IGNORED in event.mask:
                self._registries.discard(directory)
                self.add_registry(directory)

        try:
            self._watch(directory, _REGISTRY, changed)
        except (FileNotFoundError, NotADirectoryError):
            return False
        self._registries.add(directory)
        self.pending.add(WakeupKind.REGISTRY)
        return True

    def _await(self, directory: Path, ancestor: Path) -> bool:
        """False when the ancestor is gone meanwhile."""
        wanted = _next_step(ancestor, directory)

        def arrived(event: Event) -> None:
            if Mask.IGNORED in event.mask or str(event.name) == wanted.name:
                handlers = self._handlers.get(watch.wd, [])
                if arrived in handlers:
                    handlers.remove(arrived)
                    self.add_registry(directory)

        try:
            watch = self._watch(ancestor, _ARRIVAL, arrived)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True


def _open() -> Inotify:
    try:
        return Inotify(cache_size=200)
    except OSError as error:
        raise OrchestratorError(
            f"The file system cannot be watched ({error.strerror}); raise `fs.inotify.max_user_instances` with sysctl."
        ) from error


def _next_step(ancestor: Path, directory: Path) -> Path:
    """The first directory below the ancestor on the way to `directory`."""
    return ancestor / directory.relative_to(ancestor).parts[0]
