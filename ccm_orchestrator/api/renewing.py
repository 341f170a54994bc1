"""A certificate that is renewed on disk is taken up by the door that shows it, without a restart."""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path

from ccm_orchestrator.security.doors import TlsFiles

log = logging.getLogger(__name__)

LOOK_S = 30.0
Mark = tuple[tuple[int, int, int], ...]


async def keep_certificate(context: ssl.SSLContext, files: TlsFiles) -> None:
    """For ever. Connections that are open keep what they were begun with; new ones get the new certificate."""
    taken = complained = _mark(files)
    while True:
        await asyncio.sleep(LOOK_S)
        found = await asyncio.to_thread(_mark, files)
        if found in (taken, complained):
            continue
        try:
            await asyncio.to_thread(_take, context, files)
        except (OSError, ssl.SSLError) as error:  # perhaps only half of the pair is written yet
            complained = found
            log.warning("the renewed certificate %s is not taken up: %s", files.certificate, error)
        else:
            taken = complained = found
            log.info("the renewed certificate %s is taken up", files.certificate)


def _take(context: ssl.SSLContext, files: TlsFiles) -> None:
    """Tried aside first: a key that does not belong to its certificate would leave the door without any."""
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(files.certificate, files.key, _no_pass_phrase)
    context.load_cert_chain(files.certificate, files.key, _no_pass_phrase)


def _no_pass_phrase() -> str:
    """Nobody is asked for one at a terminal."""
    return ""


def _mark(files: TlsFiles) -> Mark:
    return tuple(_of(path) for path in (files.certificate, files.key))


def _of(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return found.st_ino, found.st_mtime_ns, found.st_size
