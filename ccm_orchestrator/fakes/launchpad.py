"""Run directories in memory, with agents that do what the test says."""

from __future__ import annotations

import itertools
import json
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ccm_orchestrator.domain.events import HookRecord
from ccm_orchestrator.domain.run import ProcessRef
from ccm_orchestrator.errors import WrongStatus
from ccm_orchestrator.fakes.watch import FakeWatch
from ccm_orchestrator.ports.launching import ExitRecord, Launch, RunTrace, Ticket, WakeupKind
from ccm_orchestrator.ports.world import Clock


@dataclass
class FakeRun:
    """What a test may look at and turn over."""

    launch: Launch
    term: int
    ticket: Ticket = Ticket.ISSUED
    lock_held: bool = False
    agent: ProcessRef | None = None
    agent_alive: bool = False
    exit: ExitRecord | None = None
    files: dict[str, bytes] = field(default_factory=dict)
    spool: dict[str, HookRecord] = field(default_factory=dict)
    deaf_to: set[signal.Signals] = field(default_factory=set)
    """Signals that the agent takes and ignores; SIGKILL cannot be ignored."""
    received: list[signal.Signals] = field(default_factory=list)


class FakeLaunchpad:
    def __init__(self, clock: Clock, watch: FakeWatch | None = None, directory: Path = Path("/fake-state")) -> None:
        self.runs: dict[str, FakeRun] = {}
        self._clock = clock
        self.watch = watch or FakeWatch()
        self._directory = directory
        self._condemned: set[str] = set()
        self._numbers = itertools.count(1000)

    # --- what agents do ---

    def start(self, run_id: str) -> bool:
        """The launcher of an opened window runs; False when its ticket is not valid."""
        run = self.runs[run_id]
        if run.ticket is not Ticket.ISSUED:
            return False
        pid = next(self._numbers)
        run.ticket = Ticket.REDEEMED
        run.lock_held = run.agent_alive = True
        run.agent = ProcessRef(pid, str(pid))
        self.watch.wake(WakeupKind.EXIT, run_id)
        return True

    def end(self, run_id: str, exit_code: int | None = 0, number: int | None = None, reason: str = "exited") -> None:
        """The agent ended and its launcher recorded it."""
        run = self.runs[run_id]
        detail = (
            f"The agent ended with exit code {exit_code}." if number is None else f"Signal {number} ended the agent."
        )
        run.exit = ExitRecord(exit_code, number, reason, detail, self._clock.now(), None)
        run.lock_held = run.agent_alive = False
        self.watch.wake(WakeupKind.EXIT, run_id)

    def vanish(self, run_id: str) -> None:
        """Agent and launcher are gone without a record."""
        run = self.runs[run_id]
        run.lock_held = run.agent_alive = False
        self.watch.wake(WakeupKind.EXIT, run_id)

    def hook(self, run_id: str, hook_event_name: str, payload: Mapping[str, object] | bytes = b"{}") -> HookRecord:
        """A hook of the agent leaves an event in the spool."""
        raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        event_id = f"{run_id}/{hook_event_name}.{next(self._numbers)}.0.json@0"
        record = HookRecord(event_id, run_id, hook_event_name, self._clock.now(), raw)
        self.runs[run_id].spool[event_id] = record
        self.watch.wake(WakeupKind.SPOOL, run_id)
        return record

    def write(self, run_id: str, name: str, content: bytes) -> None:
        """A file in the run directory grows."""
        files = self.runs[run_id].files
        files[name] = files.get(name, b"") + content
        self.watch.wake(WakeupKind.STREAM, run_id)

    # --- the port ---

    def directory(self, run_id: str) -> Path:
        return self._directory / "runs" / run_id

    def spool_directory(self, run_id: str) -> Path:
        return self._directory / "spool" / run_id

    async def prepare(self, run_id: str, term: int, launch: Launch) -> Sequence[str]:
        known = self.runs.get(run_id)
        if known is not None and known.ticket is Ticket.REDEEMED:
            raise WrongStatus(f"Run {run_id} was started before; every try needs a run of its own.")
        self.runs[run_id] = FakeRun(launch, term, files=dict(launch.files))
        return ("fake-launcher", str(self.directory(run_id)))

    async def revoke(self, run_id: str) -> Ticket:
        run = self.runs.get(run_id)
        if run is None:
            return Ticket.NONE
        if run.ticket is Ticket.ISSUED:
            run.ticket = Ticket.REVOKED
        return run.ticket

    async def trace(self, run_id: str) -> RunTrace:
        run = self.runs.get(run_id)
        if run is None:
            return RunTrace(lock_held=False, ticket=Ticket.NONE, agent=None, agent_alive=False, exit=None)
        return RunTrace(run.lock_held, run.ticket, run.agent, run.agent_alive, run.exit)

    async def interrupt(self, run_id: str) -> bool:
        return self._signal(run_id, signal.SIGINT)

    async def terminate(self, run_id: str) -> bool:
        return self._signal(run_id, signal.SIGTERM)

    async def condemn(self, run_id: str) -> None:
        self._condemned.add(run_id)
        await self.revoke(run_id)

    async def condemned(self, run_id: str) -> bool:
        return run_id in self._condemned

    async def living(self) -> set[str]:
        return {run_id for run_id, run in self.runs.items() if run.lock_held or run.agent_alive}

    async def kill(self, run_id: str) -> bool:
        return self._signal(run_id, signal.SIGKILL)

    def _signal(self, run_id: str, number: signal.Signals) -> bool:
        run = self.runs.get(run_id)
        if run is None or not run.agent_alive:
            return False
        run.received.append(number)
        if number in run.deaf_to and number is not signal.SIGKILL:
            return True
        if number is signal.SIGINT:
            self.end(run_id, exit_code=0)
        elif run.lock_held:
            self.end(run_id, exit_code=None, number=number, reason="terminated")
        else:
            self.vanish(run_id)
        return True

    async def read_file(self, run_id: str, name: str, offset: int = 0) -> bytes:
        run = self.runs.get(run_id)
        return run.files.get(name, b"")[offset:] if run is not None else b""

    async def spooled(self, run_id: str, limit: int = 500) -> Sequence[HookRecord]:
        run = self.runs.get(run_id)
        return tuple(itertools.islice(run.spool.values(), limit)) if run is not None else ()

    async def discard(self, records: Sequence[HookRecord]) -> None:
        for record in records:
            if (run := self.runs.get(record.run_id)) is not None:
                run.spool.pop(record.event_id, None)

    async def sweep(self, keep: frozenset[str], older_than_s: float) -> int:
        """Runs here have no age: with a limit above zero none is old enough."""
        if older_than_s > 0:
            return 0
        gone = [run_id for run_id, run in self.runs.items() if run_id not in keep and not run.lock_held]
        for run_id in gone:
            del self.runs[run_id]
        return len(gone)
