"""One control-mode client process, and the thread that lives exactly as long as it does."""

from __future__ import annotations

import atexit
import concurrent.futures
import contextlib
import itertools
import os
import secrets
import selectors
import subprocess
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from ccm_orchestrator.adapters.tmux.commands import IDENTITY, Answer, NotConnected, Reply, Request, Server
from ccm_orchestrator.adapters.tmux.names import command_line, encoded
from ccm_orchestrator.adapters.tmux.server import CLIENT_FLAGS, Address, run_tmux
from ccm_orchestrator.adapters.tmux.wire import attach_result, before_fence, complaint, read_reply
from ccm_orchestrator.errors import TerminalError, TerminalUnavailable
from ccm_orchestrator.programs import Program, argv_of

_READ_BYTES = 1 << 16
_CLOSE_TIMEOUT_S = 5.0
"""On top of the time that a command may take."""


class Ended(TerminalUnavailable):
    """The connection to tmux has ended; a new one is needed."""


@dataclass(slots=True)
class _Batch:
    future: concurrent.futures.Future[Answer]
    size: int
    replies: list[Reply] = field(default_factory=list)


@dataclass(slots=True)
class _Waiting:
    batch: _Batch | None
    """None: our own question who the server is."""
    fence: bytes
    commands: int
    deadline: float


class Connection:
    """A tmux client in control mode, single use.

    The process is started by the connection's own thread: the bond of `tether` is to the thread that forked it.
    """

    def __init__(self, address: Address, timeout_s: float) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._secret = secrets.token_hex(16)
        self._serial = itertools.count()
        self._lock = threading.Lock()  # guards what callers share with the thread: the next four
        self._waiting: deque[_Waiting] = deque()
        self._outgoing = bytearray()
        self._closing = False
        self._ended = False
        self._received = b""
        self._attached = False
        self._server: Server | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        self._enqueue([[IDENTITY]], None)
        self._thread = threading.Thread(target=self._run, name=f"tmux-{address.socket}", daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        return self._ended

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def submit(self, requests: Sequence[Request]) -> concurrent.futures.Future[Answer]:
        """Raises Ended when the connection is no longer there; nothing was sent then."""
        future: concurrent.futures.Future[Answer] = concurrent.futures.Future()
        with self._lock:
            if self._ended or self._closing:
                raise Ended
            self._enqueue(requests, _Batch(future, len(requests)))
            self._wake()
        return future

    def close(self) -> None:
        """Returns when the process is gone."""
        with self._lock:
            self._closing = True
            self._wake()
        self._thread.join(self._timeout_s + _CLOSE_TIMEOUT_S)

    def _enqueue(self, requests: Sequence[Request], batch: _Batch | None) -> None:
        deadline = time.monotonic() + self._timeout_s
        for request in requests:
            fence = f"{self._secret}.{next(self._serial)}"
            lines = f"{command_line(request)}\ndisplay-message -p {fence}\n"
            self._outgoing += encoded(lines)
            self._waiting.append(_Waiting(batch, fence.encode(), len(request), deadline))

    def _wake(self) -> None:
        if not self._ended:
            with contextlib.suppress(BlockingIOError):  # it is full of wake-ups already
                os.write(self._wake_write, b"\0")

    def _run(self) -> None:
        reason: TerminalError = TerminalUnavailable("the connection to tmux was closed")
        try:
            self._probe()
            self._process = self._start_process()
            atexit.register(self._process.kill)
            self._serve(self._process)
        except TerminalError as error:
            reason = error
        except OSError as error:
            reason = TerminalUnavailable(f"the tmux client failed: {error}")
        finally:
            self._end(reason)

    def _probe(self) -> None:
        """Makes sure that the server answers before a control client goes to it.

        Problem: tmux 3.3a dies of a null pointer, and all agents with it, when it wakes up from a hang and finds the
        requests of three or more control clients that were killed while they waited to attach.
        What we do: a plain client asks first; killing those was harmless in every trial.
        To be removed when no supported tmux does that.
        """
        session = f"={self._address.session}"
        probe = run_tmux(self._address, ["has-session", "-t", session], self._timeout_s)
        if probe.returncode:
            said = probe.stderr.decode(errors="replace").strip()
            raise NotConnected(f"tmux (socket {self._address.socket}) cannot be reached: {said}")

    def _start_process(self) -> subprocess.Popen[bytes]:
        client = self._address.argv("-C", "attach-session", "-t", f"={self._address.session}", "-f", CLIENT_FLAGS)
        process = subprocess.Popen(
            argv_of(Program.TETHER, str(os.getpid()), *client),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self._address.environment(),
            cwd="/",
            bufsize=0,
        )
        assert process.stdin is not None
        os.set_blocking(process.stdin.fileno(), False)
        return process

    def _serve(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None and process.stdout is not None
        stdin, stdout = process.stdin.fileno(), process.stdout.fileno()
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            selector.register(self._wake_read, selectors.EVENT_READ)
            while not self._closing:
                self._watch_writing(selector, stdin)
                ready = {key.fd for key, _ in selector.select(self._patience_s())}
                if self._wake_read in ready:
                    os.read(self._wake_read, _READ_BYTES)
                if stdin in ready:
                    self._write(stdin)
                if stdout in ready:
                    self._read(stdout)
                else:  # who was stopped himself must read before he judges
                    self._check_patience()

    def _watch_writing(self, selector: selectors.BaseSelector, stdin: int) -> None:
        wanted = self._attached and bool(self._outgoing)
        watched = stdin in selector.get_map()
        if wanted and not watched:
            selector.register(stdin, selectors.EVENT_WRITE)
        elif watched and not wanted:
            selector.unregister(stdin)

    def _patience_s(self) -> float | None:
        with self._lock:
            return max(0.0, self._waiting[0].deadline - time.monotonic()) if self._waiting else None

    def _check_patience(self) -> None:
        if self._patience_s() == 0.0:
            name = self._address.socket
            raise TerminalUnavailable(f"tmux (socket {name}) did not answer within {self._timeout_s:g} s")

    def _write(self, stdin: int) -> None:
        with self._lock:
            try:
                written = os.write(stdin, self._outgoing)
            except (BrokenPipeError, BlockingIOError):
                return  # what broke it, the reading side will tell
            del self._outgoing[:written]

    def _read(self, stdout: int) -> None:
        data = os.read(stdout, _READ_BYTES)
        if not data:
            raise self._lost()
        self._received += data
        if not self._attached and (result := attach_result(self._received)):
            self._attached, end = result
            if not self._attached:
                raise self._lost()
            self._received = self._received[end:]
        while self._waiting and (parts := before_fence(self._received, self._waiting[0].fence)):
            body, self._received = parts
            self._answer(body)

    def _lost(self) -> TerminalError:
        said = complaint(self._received)
        if self._attached:
            return TerminalUnavailable(f"the connection to tmux was lost{said and ': ' + said}")
        return NotConnected(f"tmux (socket {self._address.socket}) cannot be reached{said and ': ' + said}")

    def _answer(self, body: bytes) -> None:
        with self._lock:
            waiting = self._waiting.popleft()
        reply = read_reply(body, waiting.commands)
        batch = waiting.batch
        if batch is None:
            self._server = Server.read(reply.text)
            return
        batch.replies.append(reply)
        if len(batch.replies) == batch.size and batch.future.set_running_or_notify_cancel():
            assert self._server is not None
            batch.future.set_result(Answer(self._server, tuple(batch.replies)))

    def _end(self, reason: TerminalError) -> None:
        with self._lock:
            self._ended = True
            batches = {id(waiting.batch): waiting.batch for waiting in self._waiting if waiting.batch}
            self._waiting.clear()
            os.close(self._wake_read)
            os.close(self._wake_write)
        if self._process is not None:
            _kill(self._process)
        for batch in batches.values():
            if batch.future.set_running_or_notify_cancel():
                batch.future.set_exception(type(reason)(reason.message))


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    with process:  # closes the pipes and waits
        pass
    atexit.unregister(process.kill)
