"""What to start, and starting it: in a process group of its own that gets the terminal's keys, inheriting nothing."""

from __future__ import annotations

import errno
import posix

from ccm_orchestrator.launcher.records import VERSION, Unreadable
from ccm_orchestrator.launcher.signals import default_signals
from ccm_orchestrator.launcher.tree import die_with_parent, foreground

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn, TypeVar

    T = TypeVar("T")

_TERMINAL = 0
_GO = b"g"
_DEFAULT_GRACE_S = 10.0


class NotStarted(Exception):
    """The agent could not be started; the text is a sentence for a person."""


class Launch:
    """`launch.json`, checked. Its `env` is not for printing."""

    def __init__(self, raw: dict[str, object]) -> None:
        """Raises: Unreadable."""
        if raw.get("version") != VERSION:
            raise Unreadable(f"expected version {VERSION}, got: {raw.get('version')}")
        self.run_id = _text(raw, "run_id")
        self.cwd = _text(raw, "cwd")
        self.argv = [str(argument) for argument in _expect(raw, "argv", list)]
        self.env = {str(name): str(value) for name, value in _expect(raw, "env", dict).items()}
        self.stdin_file = _file_name(raw, "stdin_file")
        self.stdout_file = _file_name(raw, "stdout_file")
        self.memory_group = _text(raw, "memory_group") if raw.get("memory_group") else None
        limit, grace = raw.get("memory_limit_bytes"), raw.get("stop_grace_s")
        self.memory_limit_bytes = limit if isinstance(limit, int) and limit > 0 else None
        self.stop_grace_s = float(grace) if isinstance(grace, int | float) else _DEFAULT_GRACE_S
        if not self.argv:
            raise Unreadable("argv is empty")


def _expect(raw: dict[str, object], key: str, kind: type[T]) -> T:
    value = raw.get(key)
    if not isinstance(value, kind):
        raise Unreadable(f"{key} is missing or not of type {kind.__name__}")
    return value


def _text(raw: dict[str, object], key: str) -> str:
    return _expect(raw, key, str)


def _file_name(raw: dict[str, object], key: str) -> str | None:
    if raw.get(key) is None:
        return None
    name = _text(raw, key)
    if "/" in name or name in {"", ".", ".."}:
        raise Unreadable(f"{key} has to be the name of a file in the run directory, got: {name}")
    return name


class Agent:
    """A started agent; its process group has the number of its process."""

    def __init__(self, pid: int, stdout: int | None, stderr: int | None) -> None:
        self.pid = pid
        self.stdout = stdout
        """Our end of the pipe in print mode; None: the agent writes to the terminal."""
        self.stderr = stderr


def start(launch: Launch, directory: str, born: Callable[[int], None]) -> Agent:
    """Starts the agent; `born` is called with its process id while it still waits. Raises: NotStarted."""
    program, argv, env = _resolve(launch)
    stdin = _open_stdin(launch, directory)
    stdout, stdout_theirs = posix.pipe() if launch.stdout_file else (None, None)
    stderr, stderr_theirs = posix.pipe() if launch.stdout_file else (None, None)
    gate_theirs, gate = posix.pipe()
    status, status_theirs = posix.pipe()
    parent = posix.getpid()
    pid = posix.fork()
    if pid == 0:
        posix.close(gate)
        _become(program, argv, env, (stdin, stdout_theirs, stderr_theirs), gate_theirs, status_theirs, parent)
    for descriptor in (stdin, stdout_theirs, stderr_theirs, gate_theirs, status_theirs):
        if descriptor is not None:
            posix.close(descriptor)
    _own_group(pid)
    born(pid)
    posix.write(gate, _GO)
    posix.close(gate)
    _await_start(status, launch, pid)
    return Agent(pid, stdout, stderr)


def _resolve(launch: Launch) -> tuple[bytes, list[bytes], dict[bytes, bytes]]:
    """Enters the working directory and finds the program there. Raises: NotStarted."""
    argv = [argument.encode("utf-8", "surrogateescape") for argument in launch.argv]
    env = {
        name.encode("utf-8", "surrogateescape"): value.encode("utf-8", "surrogateescape")
        for name, value in launch.env.items()
    }
    if any(b"\0" in text for text in (*argv, *env, *env.values())):
        raise NotStarted("The agent was not started: its command line or environment contains a NUL character.")
    if any(not name or b"=" in name for name in env):
        raise NotStarted("The agent was not started: its environment has a variable with an impossible name.")
    try:
        posix.chdir(launch.cwd)
    except OSError as error:
        raise NotStarted(
            f"The agent was not started: the working directory {launch.cwd} cannot be entered"
            f" ({posix.strerror(error.errno or 0)}); create it, or register the project anew."
        ) from error
    candidates = [argv[0]] if b"/" in argv[0] else [path + b"/" + argv[0] for path in env.get(b"PATH", b"").split(b":")]
    for candidate in candidates:
        if posix.access(candidate, posix.X_OK):
            return candidate, argv, env
    raise NotStarted(f"The agent was not started: the program {launch.argv[0]} was not found or is not executable.")


def _open_stdin(launch: Launch, directory: str) -> int | None:
    if launch.stdin_file is None:
        return None
    try:
        return posix.open(f"{directory}/{launch.stdin_file}", posix.O_RDONLY)
    except OSError as error:
        raise NotStarted(
            f"The agent was not started: its input file {launch.stdin_file} cannot be read"
            f" ({posix.strerror(error.errno or 0)})."
        ) from error


def _own_group(pid: int) -> None:
    """The child does the same: whoever comes first."""
    try:
        posix.setpgid(pid, pid)
    except (PermissionError, ProcessLookupError):
        return
    finally:
        foreground(_TERMINAL, pid)


def _become(
    program: bytes,
    argv: list[bytes],
    env: dict[bytes, bytes],
    standard: tuple[int | None, int | None, int | None],
    gate: int,
    status: int,
    parent: int,
) -> NoReturn:
    """In the child: turns into the agent as soon as the gate opens, or reports the error number."""
    try:
        posix.setpgid(0, 0)
        die_with_parent(parent)
        for target, descriptor in enumerate(standard):
            if descriptor is not None:
                posix.dup2(descriptor, target)
        if posix.read(gate, 1) == _GO:
            default_signals()
            _close_at_exec()
            posix.execve(program, argv, env)
    except OSError as error:
        posix.write(status, str(error.errno).encode())
    finally:
        posix._exit(127)


def _close_at_exec() -> None:
    """Descriptors that we were started with ourselves; our own have been so from the beginning."""
    for name in posix.listdir("/dev/fd"):
        if int(name) > 2:
            try:
                posix.set_inheritable(int(name), False)
            except OSError:
                continue


def _await_start(status: int, launch: Launch, pid: int) -> None:
    """The pipe closes by itself when the agent's program replaces ours. Raises: NotStarted."""
    number = posix.read(status, 16)
    posix.close(status)
    if not number:
        return
    posix.waitpid(pid, 0)
    code = int(number)
    reason = "the command line and environment are too long" if code == errno.E2BIG else posix.strerror(code)
    raise NotStarted(f"The agent was not started: {launch.argv[0]} cannot be executed ({reason}).")
