"""`Launchpad` on the file system of this machine."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ccm_orchestrator.adapters.plain_files import opened
from ccm_orchestrator.adapters.rundir import lock, processes, records, spool, ticket
from ccm_orchestrator.adapters.rundir.layout import CONDEMNED, LAUNCH, RUN_VARIABLE, STOP, VERSION, Layout
from ccm_orchestrator.directories import make_directory
from ccm_orchestrator.domain.events import HookRecord
from ccm_orchestrator.domain.run import ProcessRef
from ccm_orchestrator.errors import StoreUnavailable, WrongStatus
from ccm_orchestrator.ports.launching import Launch, RunTrace, Ticket
from ccm_orchestrator.programs import Program, argv_of

DEFAULT_MEMORY_LIMIT_BYTES = 2 << 30
_RECORDING_S = 2.0
"""What a launcher gets to sweep and to write its exit record before it is killed itself."""
_LOOK_S = 0.02
_KILL_ROUNDS = 5
"""A process may start others while it is being looked for."""
_READ_AT_ONCE_BYTES = 1 << 20


class RunDirectories:
    """Every operation is quick but `kill` and `sweep`, which look at much; those, and large reads, use a thread."""

    def __init__(
        self,
        state_directory: Path,
        *,
        memory_limit_bytes: int = DEFAULT_MEMORY_LIMIT_BYTES,
        memory_group: Path | None = None,
        stop_grace_s: float = 10.0,
    ) -> None:
        """`memory_limit_bytes` is for launches that name none. `memory_group`: a delegated control group in which
        launchers may make one for each run; None: they measure."""
        self._layout = Layout(state_directory)
        self._memory_limit_bytes = memory_limit_bytes
        self._memory_group = memory_group
        self._stop_grace_s = stop_grace_s
        self._boot_id = processes.boot_id()

    def directory(self, run_id: str) -> Path:
        return self._layout.run(run_id)

    def spool_directory(self, run_id: str) -> Path:
        return self._layout.spool(run_id)

    async def prepare(self, run_id: str, term: int, launch: Launch) -> Sequence[str]:
        """Raises: StoreUnavailable (the directory cannot be written), WrongStatus (the run was started before)."""
        directory = self.directory(run_id)
        with _writing(directory):
            for path in (self._layout.runs, self._layout.spools, directory, self.spool_directory(run_id)):
                make_directory(path)
            if ticket.read(directory) is Ticket.REDEEMED:
                raise WrongStatus(f"Run {run_id} was started before; every try needs a run of its own.")
            for name, content in launch.files.items():
                _write(directory / name, content)
            _write(directory / LAUNCH, self._describe(run_id, launch))
            ticket.revoke(directory)
            ticket.issue(directory, term)
        return argv_of(Program.LAUNCHER, str(directory))

    def _describe(self, run_id: str, launch: Launch) -> bytes:
        description = {
            "version": VERSION,
            "run_id": run_id,
            "argv": list(launch.argv),
            "env": {**launch.env, RUN_VARIABLE: run_id},
            "cwd": str(launch.cwd),
            "stdin_file": launch.stdin_file,
            "stdout_file": launch.stdout_file,
            "memory_limit_bytes": launch.memory_limit_bytes or self._memory_limit_bytes,
            "memory_group": str(self._memory_group) if self._memory_group else None,
            "stop_grace_s": self._stop_grace_s,
        }
        return json.dumps(description).encode()

    async def revoke(self, run_id: str) -> Ticket:
        ticket.revoke(self.directory(run_id))
        return ticket.read(self.directory(run_id))

    async def trace(self, run_id: str) -> RunTrace:
        """Looks twice when a launcher seems to have died: it may have begun between two reads of the first look."""
        first = self._look(run_id)
        begun = first.ticket is Ticket.REDEEMED or first.agent is not None
        return self._look(run_id) if begun and not first.lock_held and first.exit is None else first

    def _look(self, run_id: str) -> RunTrace:
        """The lock comes first: a launcher releases it last, so what it recorded is there when it is free."""
        directory = self.directory(run_id)
        lock_held = lock.held(directory)
        start = self._started(run_id)
        agent = start.agent if start else None
        return RunTrace(
            lock_held=lock_held,
            ticket=ticket.read(directory),
            agent=agent,
            agent_alive=self._alive(start),
            exit=records.exited(directory),
        )

    def _started(self, run_id: str) -> records.StartRecord | None:
        return records.started(self.directory(run_id))

    def _alive(self, start: records.StartRecord | None) -> bool:
        return start is not None and start.boot_id == self._boot_id and processes.alive(start.agent)

    def _living(self, run_id: str) -> tuple[ProcessRef | None, ProcessRef | None]:
        """Launcher and agent, as far as they live."""
        start = self._started(run_id)
        if start is None or start.boot_id != self._boot_id:
            return None, None
        launcher = start.launcher if processes.alive(start.launcher) else None
        return launcher, start.agent if processes.alive(start.agent) else None

    async def interrupt(self, run_id: str) -> bool:
        _, agent = self._living(run_id)
        return agent is not None and processes.send(agent, signal.SIGINT)

    async def terminate(self, run_id: str) -> bool:
        """The launcher passes it on to the group, and kills the group when it does not end."""
        launcher, agent = self._living(run_id)
        starting = lock.held(self.directory(run_id))
        if launcher is None and agent is None and not starting:
            return False
        self._note_stop(run_id)
        if launcher is not None and processes.send(launcher, signal.SIGTERM):
            return True
        return starting or (agent is not None and processes.send_group(agent, signal.SIGTERM))

    def _note_stop(self, run_id: str) -> None:
        """A full disk must not keep an agent alive: then the launcher just does not know whose wish it was."""
        try:
            (self.directory(run_id) / STOP).touch(mode=0o600)
        except OSError:
            return

    async def condemn(self, run_id: str) -> None:
        """On a full disk the agent is ended all the same; only its task may then be tried again."""
        directory = self.directory(run_id)
        with suppress(OSError):
            make_directory(directory)
            ticket.revoke(directory)
            (directory / CONDEMNED).touch(mode=0o600)

    async def condemned(self, run_id: str) -> bool:
        return (self.directory(run_id) / CONDEMNED).exists()

    async def living(self) -> set[str]:
        return await asyncio.to_thread(self._living_runs)

    def _living_runs(self) -> set[str]:
        return {run_id for run_id in _names(self._layout.runs) if self._lives(run_id)}

    def _lives(self, run_id: str) -> bool:
        return lock.held(self.directory(run_id)) or self._alive(self._started(run_id))

    async def kill(self, run_id: str) -> bool:
        """Everything but the launcher, which then records the end; the launcher, too, if it does not do so."""
        launcher, agent = self._living(run_id)
        self._note_stop(run_id)
        killed = await asyncio.to_thread(self._kill_all, run_id, launcher, agent)
        if launcher is not None and not await self._recorded(run_id):
            processes.send(launcher, signal.SIGKILL)
            killed |= await asyncio.to_thread(self._kill_all, run_id, None, agent)
        return killed

    def _kill_all(self, run_id: str, launcher: ProcessRef | None, agent: ProcessRef | None) -> bool:
        start = self._started(run_id)
        roots = [root for root in (launcher,) if root]
        killed = agent is not None and processes.send(agent, signal.SIGKILL)
        for _ in range(_KILL_ROUNDS):
            found = processes.of_run(run_id, roots, start.group if start else None)
            if not any([processes.send(victim, signal.SIGKILL) for victim in found]):
                break
            killed = True
        return killed

    async def _recorded(self, run_id: str) -> bool:
        deadline_s = time.monotonic() + _RECORDING_S
        while lock.held(self.directory(run_id)):
            if time.monotonic() > deadline_s:
                return False
            await asyncio.sleep(_LOOK_S)
        return True

    async def read_file(self, run_id: str, name: str, offset: int = 0) -> bytes:
        path = self.directory(run_id) / name
        try:
            large = path.stat().st_size - offset > _READ_AT_ONCE_BYTES
            return await asyncio.to_thread(_read, path, offset) if large else _read(path, offset)
        except FileNotFoundError:
            return b""

    async def spooled(self, run_id: str, limit: int = 500) -> Sequence[HookRecord]:
        directory = self.spool_directory(run_id)
        if spool.is_empty(directory):
            return ()
        return await asyncio.to_thread(spool.read, directory, run_id, limit)

    async def discard(self, records: Sequence[HookRecord]) -> None:
        for record in records:
            spool.discard(self.spool_directory(record.run_id), record)

    async def sweep(self, keep: frozenset[str], older_than_s: float) -> int:
        return await asyncio.to_thread(self._sweep, keep, older_than_s)

    def _sweep(self, keep: frozenset[str], older_than_s: float) -> int:
        before_s = time.time() - older_than_s
        removed = 0
        for run_id in _names(self._layout.runs) | _names(self._layout.spools):
            directory = self.directory(run_id)
            if run_id in keep or _modified_s(directory) > before_s:
                continue
            if self._lives(run_id):
                continue
            shutil.rmtree(directory, ignore_errors=True)
            shutil.rmtree(self.spool_directory(run_id), ignore_errors=True)
            removed += 1
        return removed


@contextmanager
def _writing(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreUnavailable(f"The run directory {directory} cannot be written: {error.strerror}.") from error


def _write(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)


def _read(path: Path, offset: int) -> bytes:
    with opened(path) as file:
        file.seek(offset)
        return file.read()


def _names(directory: Path) -> set[str]:
    try:
        return {entry.name for entry in os.scandir(directory) if entry.is_dir(follow_symlinks=False)}
    except FileNotFoundError:
        return set()


def _modified_s(directory: Path) -> float:
    try:
        return directory.stat().st_mtime
    except FileNotFoundError:
        return 0.0
