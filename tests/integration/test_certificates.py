"""The second door's certificate: renewed on disk, it is shown to whoever comes next."""

from __future__ import annotations

import asyncio
import logging
import ssl
from functools import partial
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from ccm_orchestrator.api import renewing
from ccm_orchestrator.api.server import ApiServer
from ccm_orchestrator.domain.caller import Caller, CallerKind, Scope
from ccm_orchestrator.security.doors import RemoteAddress, TlsFiles
from ccm_orchestrator.security.keyring import KeyRing
from tests.api_house import House, eventually
from tests.certificates import write_certificate
from tests.live_client import Client

ADMIN = Caller(CallerKind.LOCAL, "local", frozenset(Scope))


async def test_a_renewed_certificate_is_taken_up_once_its_key_is_there_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(renewing, "LOOK_S", 0.02)
    house = House()
    await house.prepare()
    ring = KeyRing(house.keys, house.clock)
    key = (await ring.create(ADMIN, "far", frozenset({Scope.READ}), None, None))[1].reveal()
    files = write_certificate(tmp_path)
    old = certificate(files)
    server = ApiServer(house.app, "127.0.0.1", 0, RemoteAddress("127.0.0.1", 0, files))
    await server.start()
    try:
        async with live(server, files, key) as socket:
            client = Client(socket)
            await client.until("ready")
            renewed = write_certificate(tmp_path, "renewed")
            renewed.certificate.replace(files.certificate)
            with caplog.at_level(logging.WARNING):
                await eventually(lambda: said(caplog, "is not taken up"), "a word about half a pair")
            assert await shown_by(server) == old, "half of a pair changes nothing"
            renewed.key.replace(files.key)
            await eventually(partial(shows, server, certificate(files)), "the renewed certificate")
            await client.until("heartbeat")
        async with live(server, files, key) as socket:
            await Client(socket).until("ready")
    finally:
        await server.stop()


def live(server: ApiServer, files: TlsFiles, key: str) -> connect:
    """Through the second door."""
    context = ssl.create_default_context(cafile=files.certificate)
    headers = {"Authorization": f"Bearer {key}"}
    return connect(f"wss://127.0.0.1:{server.remote_port}/ws", ssl=context, additional_headers=headers, proxy=None)


async def said(caplog: pytest.LogCaptureFixture, words: str) -> bool:
    return words in caplog.text


async def shows(server: ApiServer, wanted: bytes) -> bool:
    return await shown_by(server) == wanted


async def shown_by(server: ApiServer) -> bytes:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", server.remote_port, ssl=context)
    shown: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return shown


def certificate(files: TlsFiles) -> bytes:
    return ssl.PEM_cert_to_DER_cert(files.certificate.read_text())
