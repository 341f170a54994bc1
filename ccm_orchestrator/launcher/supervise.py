"""One run from launch to exit record."""

from __future__ import annotations

import posix
import select
import sys
import time

from ccm_orchestrator.launcher.agent import Agent, Launch, NotStarted, start
from ccm_orchestrator.launcher.memory import Memory, limit_memory
from ccm_orchestrator.launcher.records import VERSION, Record, exists, utc_now
from ccm_orchestrator.launcher.signals import signal
from ccm_orchestrator.launcher.streams import Copy, Window
from ccm_orchestrator.launcher.tree import (
    adopt_orphans,
    boot_id,
    descendants,
    foreground,
    signal_all,
    signal_group,
    start_time,
    sweep,
)

_TERMINAL = 0
_RECORD_PATIENCE_S = 120.0
"""How long a full disk may keep us from writing the exit record."""
_RETRY_S = 0.25
_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


class Ending:
    """How the agent ended."""

    def __init__(self, reason: str, detail: str, exit_code: int | None = None, number: int | None = None) -> None:
        self.reason = reason
        self.detail = detail
        self.exit_code = exit_code
        self.signal = number
        self.max_rss_bytes: int | None = None


def carry_out(launch: Launch, directory: str, signals: int, window: Window) -> None:
    """Starts the agent, waits for its end, ends what it left behind, and records all that."""
    adopt_orphans()
    memory = limit_memory(launch.memory_limit_bytes, launch.memory_group, launch.run_id)
    run_record = Record(directory, "run.json", durable=False)

    def born(pid: int) -> None:
        memory.join(pid)
        run_record.write(_run_facts(launch, pid, memory))

    swept: list[int] = []
    try:
        if exists(f"{directory}/stop"):
            raise NotStarted("The agent was not started: it was asked to stop before.")
        agent = start(launch, directory, born)
    except NotStarted as error:
        window.say(str(error))
        asked = exists(f"{directory}/stop")
        ending = Ending("terminated" if asked else "start_failed", str(error))
    else:
        watching = Supervision(agent, launch, directory, memory, run_record, signals, window)
        ending = watching.wait()
        swept = watching.clean_up()
    memory.close()
    _record_exit(
        Record(directory, "exit.json", durable=True), _exit_facts(launch, ending, memory, swept), signals, window
    )


class Supervision:
    """Waits for one agent, and does what has to be done meanwhile."""

    def __init__(
        self,
        agent: Agent,
        launch: Launch,
        directory: str,
        memory: Memory,
        run_record: Record,
        signals: int,
        window: Window,
    ) -> None:
        self._agent = agent
        self._launch = launch
        self._directory = directory
        self._memory = memory
        self._run_record = run_record
        self._signals = signals
        self._copies = _copies(agent, launch, directory, window)
        self._kill_at: float | None = None
        self._measure_at = 0.0
        self._hung_up = False
        self._out_of_memory = False
        self._ending: Ending | None = None

    def wait(self) -> Ending:
        poll = select.poll()
        poll.register(self._signals, select.POLLIN)
        for copy in self._copies:
            poll.register(copy.source, select.POLLIN)
        while self._ending is None:
            poll.poll(self._patience_s() * 1000)
            for copy in self._copies:
                if copy.open:
                    copy.pump()
                    if not copy.open:
                        poll.unregister(copy.source)
            self._heed_signals()
            self._do_what_is_due()
        return self._ending

    def clean_up(self) -> list[int]:
        """Ends what the agent left behind, and takes the last of its output. Returns the ended process ids."""
        swept = sweep(self._agent.pid, self._memory.pids)
        foreground(_TERMINAL, posix.getpgid(0))
        deadline = time.monotonic() + _RECORD_PATIENCE_S
        for copy in self._copies:
            if copy.open:
                copy.pump()
            while not copy.flush() and time.monotonic() < deadline:
                time.sleep(_RETRY_S)
        return swept

    def _patience_s(self) -> float:
        due_at = self._measure_at if self._kill_at is None else min(self._measure_at, self._kill_at)
        return max(0.0, due_at - time.monotonic())

    def _do_what_is_due(self) -> None:
        self._run_record.retry()
        for copy in self._copies:
            copy.flush()
        now = time.monotonic()
        if now >= self._measure_at:
            self._check_memory(now)
        if self._kill_at is not None and now >= self._kill_at:
            self._kill_at = None
            self._kill()

    def _check_memory(self, now: float) -> None:
        if self._memory.exceeded():
            self._out_of_memory = True
            self._kill()
        self._measure_at = now + self._memory.interval_s

    def _kill(self) -> None:
        signal_group(self._agent.pid, signal.SIGKILL)
        signal_all(descendants(posix.getpid()), signal.SIGKILL)

    def _heed_signals(self) -> None:
        try:
            numbers = posix.read(self._signals, 1024)
        except BlockingIOError:
            return
        for number in dict.fromkeys(numbers):
            if number == signal.SIGCHLD:
                self._bury()
            else:
                self._forward(number)

    def _forward(self, number: int) -> None:
        signal_group(self._agent.pid, number)
        signal_group(self._agent.pid, signal.SIGCONT)
        self._hung_up |= number == signal.SIGHUP
        if number != signal.SIGINT and self._kill_at is None:
            self._kill_at = time.monotonic() + self._launch.stop_grace_s

    def _bury(self) -> None:
        """Takes every state change of a child; an orphan's death is none of our concern, the agent's is its end."""
        while True:
            try:
                pid, status, usage = posix.wait4(-1, posix.WNOHANG | posix.WUNTRACED)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._agent.pid and posix.WIFSTOPPED(status):
                self._go_on(posix.WSTOPSIG(status))
            elif pid == self._agent.pid:
                self._ending = self._read_status(status)
                self._ending.max_rss_bytes = usage.ru_maxrss * _MAXRSS_UNIT

    def _go_on(self, number: int) -> None:
        """There is no shell that could continue an agent which was stopped by a key; SIGSTOP is somebody's intent."""
        if number != signal.SIGSTOP:
            foreground(_TERMINAL, self._agent.pid)
            signal_group(self._agent.pid, signal.SIGCONT)

    def _read_status(self, status: int) -> Ending:
        number = posix.WTERMSIG(status) if posix.WIFSIGNALED(status) else None
        code = posix.WEXITSTATUS(status) if number is None else None
        how = f"ended with exit code {code}" if number is None else f"was ended by signal {number}"
        if self._out_of_memory or (number == signal.SIGKILL and self._memory.killed_something()):
            limit_mb = (self._memory.limit_bytes or 0) >> 20
            return Ending(
                "out_of_memory", f"The agent needed more than its memory limit of {limit_mb} MB.", code, number
            )
        if exists(f"{self._directory}/stop"):
            return Ending("terminated", f"The agent {how} after it was asked to stop.", code, number)
        closed = " after its window was closed" if self._hung_up else ""
        return Ending("exited" if number is None else "signalled", f"The agent {how}{closed}.", code, number)


def _copies(agent: Agent, launch: Launch, directory: str, window: Window) -> list[Copy]:
    if agent.stdout is None or agent.stderr is None:
        return []
    return [
        Copy(agent.stdout, f"{directory}/{launch.stdout_file}", window),
        Copy(agent.stderr, f"{directory}/stderr.log", window),
    ]


def _run_facts(launch: Launch, pid: int, memory: Memory) -> dict[str, object]:
    tmux = {name: posix.environ.get(name.encode(), b"").decode(errors="replace") for name in ("TMUX", "TMUX_PANE")}
    return {
        "version": VERSION,
        "run_id": launch.run_id,
        "launcher": {"pid": posix.getpid(), "start": start_time(posix.getpid())},
        "agent": {"pid": pid, "start": start_time(pid), "pgid": pid},
        "boot_id": boot_id(),
        "tmux": tmux,
        "cgroup": memory.group,
        "started_at": utc_now(),
    }


def _exit_facts(launch: Launch, ending: Ending, memory: Memory, swept: list[int]) -> dict[str, object]:
    return {
        "version": VERSION,
        "run_id": launch.run_id,
        "exit_code": ending.exit_code,
        "signal": ending.signal,
        "reason": ending.reason,
        "detail": ending.detail,
        "ended_at": utc_now(),
        "max_rss_bytes": max(filter(None, (ending.max_rss_bytes, memory.peak_bytes)), default=None),
        "swept": swept,
    }


def _record_exit(record: Record, facts: dict[str, object], signals: int, window: Window) -> None:
    if record.write(facts):
        return
    window.say("The exit record cannot be written (is the disk full?); trying again for two minutes.")
    deadline = time.monotonic() + _RECORD_PATIENCE_S
    while not record.retry() and time.monotonic() < deadline:
        time.sleep(_RETRY_S)
