"""The process in the background that keeps a local Supabase running until it is told to stop.

python -m ccm_orchestrator.devstack.keeper DIRECTORY PORT
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import psutil

from ccm_orchestrator.adapters.rundir.processes import reference
from ccm_orchestrator.devstack.keys import Keys
from ccm_orchestrator.devstack.programs import find_programs
from ccm_orchestrator.devstack.residence import Residence, Tenancy
from ccm_orchestrator.devstack.stack import LocalSupabase
from ccm_orchestrator.errors import OrchestratorError

_LOOK_S = 2.0


def keep(residence: Residence, port: int, leave: threading.Event) -> None:
    """Until `leave`, or until a part of it ends by itself. Raises: OrchestratorError."""
    document = residence.key_document()
    keys = Keys.restored(document) if document else Keys()
    residence.keep_keys(keys.document())
    place = residence.stack
    place.mkdir(mode=0o711, parents=True, exist_ok=True)
    programs = find_programs(*residence.postgrest_homes)
    with LocalSupabase(programs, place, keys=keys, port=port, durable=True) as stack:
        stack.migrate()
        residence.keep_port(port)
        residence.move_in(_tenancy(stack))
        try:
            while not leave.wait(_LOOK_S):
                if stack.ended:
                    sys.stderr.write(f"{' and '.join(stack.ended)} ended; the logs are in {place}\n")
                    break
        finally:
            residence.move_out()


def _tenancy(stack: LocalSupabase) -> Tenancy:
    parts = tuple(reference(psutil.Process(pid)) for pid in stack.pids)
    return Tenancy(
        keeper=reference(psutil.Process(os.getpid())),
        parts=parts,
        url=stack.url,
        database_url=stack.database_url,
        sockets=str(stack.sockets),
        since=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def main(arguments: Sequence[str]) -> int:
    leave = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: leave.set())
    with suppress(OSError):
        os.chdir("/")
    try:
        keep(Residence(Path(arguments[0])), int(arguments[1]), leave)
    except OrchestratorError as error:
        sys.stderr.write(error.message + "\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
