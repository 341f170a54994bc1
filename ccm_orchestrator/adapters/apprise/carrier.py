"""Starts the process that sends one notice, with a limit to its time."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence

CHILD = (sys.executable, "-m", "ccm_orchestrator.adapters.apprise.sending")


class AppriseCarrier:
    def __init__(self, timeout_s: float = 20.0, child: Sequence[str] = CHILD) -> None:
        self._timeout_s = timeout_s
        self._child = tuple(child)

    async def send(self, url: str, title: str, body: str, level: str) -> str | None:
        order = json.dumps({"url": url, "title": title, "body": body, "level": level}).encode()
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                *self._child, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL, env=dict(os.environ)
            )
        except OSError as error:
            return f"the sending process could not be started: {error.strerror}"
        try:
            answer, _ = await asyncio.wait_for(process.communicate(order), self._timeout_s)
        except TimeoutError:
            return f"it took longer than {self._timeout_s:g} s"
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        try:
            error_text = json.loads(answer)["error"]
        except (ValueError, KeyError, TypeError):
            return f"the sending process ended with {process.returncode}"
        return None if error_text is None else str(error_text).replace(url, "(the URL)")
