"""Starts the process that sends one notice, with a limit to its time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Mapping, Sequence

from ccm_orchestrator.domain.telling import secrets_of
from ccm_orchestrator.programs import Program, argv_of

WITHHELD = ("CCM_", "SUPABASE_", "ANTHROPIC_", "CLAUDE")
"""What the daemon knows and no target need be told."""
END_S = 2.0


class AppriseCarrier:
    def __init__(self, timeout_s: float = 20.0, child: Sequence[str] = ()) -> None:
        self._timeout_s = timeout_s
        self._child = tuple(child) or tuple(argv_of(Program.NOTICE_SENDER))

    async def send(self, url: str, title: str, body: str, level: str) -> str | None:
        return await self._asked(url, {"title": title, "body": body, "level": level})

    async def problem_with(self, url: str) -> str | None:
        """Why Apprise cannot use the address; None: it understands it. Nothing is sent."""
        return await self._asked(url, {"only_look": True})

    async def _asked(self, url: str, more: Mapping[str, object]) -> str | None:
        order = json.dumps({"url": url, **more}).encode()
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                *self._child,
                stdin=pipe,
                stdout=pipe,
                stderr=asyncio.subprocess.DEVNULL,
                cwd="/",
                env=_environment(),
                start_new_session=True,
            )
        except OSError as error:
            return f"the sending process could not be started: {error.strerror}"
        ended = False
        try:
            answer, _ = await asyncio.wait_for(process.communicate(order), self._timeout_s)
            ended = True
        except TimeoutError:
            return f"it took longer than {self._timeout_s:g} s"
        finally:
            if not ended:
                await _end(process)
        try:
            error_text = json.loads(answer)["error"]
        except (ValueError, KeyError, TypeError):
            return f"the sending process ended with {process.returncode}"
        return None if error_text is None else _covered(str(error_text), url)


async def _end(process: asyncio.subprocess.Process) -> None:
    """With all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    # What got away from its group may hold the pipes, and `wait` waits for their end, too: for ever, then. There is no
    # public way to close them; to be removed when there is one.
    process._transport.close()  # type: ignore[attr-defined]
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), END_S)


def _covered(text: str, url: str) -> str:
    """Without the address and its parts: what is said here is kept, logged and shown."""
    for secret in sorted(secrets_of(url), key=len, reverse=True):
        text = text.replace(secret, "(hidden)") if secret else text
    return text


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(WITHHELD)}
