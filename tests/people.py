"""A person at a terminal, for tests."""

import asyncio
import fcntl
import os
import pty
import signal
import struct
import termios
from collections.abc import Sequence
from contextlib import suppress

from tests.terminals import PATIENCE_S, until

DETACH = b"\x02d"


class Person:
    """Runs a command in a terminal of its own, reads what it shows and presses keys."""

    def __init__(self, argv: Sequence[str], columns: int = 120, rows: int = 40) -> None:
        self._argv = argv
        self._size = (columns, rows)
        self.seen = b""
        self._process: asyncio.subprocess.Process | None = None
        self._master = -1

    async def __aenter__(self) -> "Person":
        self._master, slave = pty.openpty()
        os.set_blocking(self._master, False)
        self._set_size(*self._size)
        environment = {name: value for name, value in os.environ.items() if name != "TMUX"}
        self._process = await asyncio.create_subprocess_exec(
            *self._argv,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment | {"TERM": "xterm-256color"},
            start_new_session=True,
        )
        os.close(slave)
        asyncio.get_running_loop().add_reader(self._master, self._read)
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._process is not None
        asyncio.get_running_loop().remove_reader(self._master)
        os.close(self._master)
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def press(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def resize(self, columns: int, rows: int) -> None:
        self._set_size(columns, rows)
        os.kill(self.pid, signal.SIGWINCH)

    async def sees(self, text: str) -> None:
        async def shown() -> bool:
            return text.encode() in self.seen

        await until(shown, f"a person sees {text!r}")

    async def leaves(self) -> int:
        """Detaches; the exit code of the command."""
        self.press(DETACH)
        return await self.ends()

    async def ends(self) -> int:
        assert self._process is not None
        return await asyncio.wait_for(self._process.wait(), PATIENCE_S)

    def _set_size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def _read(self) -> None:
        try:
            self.seen += os.read(self._master, 1 << 16)
        except OSError:  # the command has ended
            asyncio.get_running_loop().remove_reader(self._master)
