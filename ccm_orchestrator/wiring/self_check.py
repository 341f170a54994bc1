"""Whether the daemon answers: asked of itself, as a client would."""

from __future__ import annotations

import asyncio
import logging

from ccm_orchestrator.engine.heartbeats import Heart

log = logging.getLogger(__name__)

LOOK_S = 7.0
AGAIN_S = 1.0
BEAT_S = 2.0


async def keep_turning(heart: Heart) -> None:
    """Proves that the event loop turns."""
    while True:
        await heart.turn()
        await asyncio.sleep(min(BEAT_S, heart.idle_s))


async def keep_asking(heart: Heart, host: str, port: int) -> None:
    """Proves that requests are answered; what the answer says does not matter."""
    while True:
        try:
            await _ask(host, port)
        except (OSError, EOFError) as error:
            log.warning("the API does not answer itself: %s", error)
            await asyncio.sleep(AGAIN_S)
        else:
            await heart.turn()
            await asyncio.sleep(min(LOOK_S, heart.deadline_s / 3))


async def _ask(host: str, port: int) -> None:
    """Raises: OSError, EOFError."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(f"GET /health HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError as error:
        raise EOFError("its answer has no end") from error
    finally:
        writer.close()
