"""What is told of a fact, inside the transaction of the fact."""

from __future__ import annotations

import logging
import sqlite3

from ccm_orchestrator.adapters.sqlite import audit, events
from ccm_orchestrator.domain.audit import AuditEntry
from ccm_orchestrator.ports.beside import Beside

log = logging.getLogger(__name__)


def keep(connection: sqlite3.Connection, told: Beside) -> bool:
    """True: the entry of the audit log is stored, too."""
    events.append(connection, told.events)
    return told.entry is not None and _audited(connection, told.entry)


def _audited(connection: sqlite3.Connection, entry: AuditEntry) -> bool:
    try:
        audit.add(connection, entry)
    except sqlite3.Error as error:
        if not connection.in_transaction:  # the fact is gone with it
            raise
        log.error("the audit log cannot be written (%s): %s %s %s", error, entry.caller, entry.action, entry.target)
        return False
    return True
