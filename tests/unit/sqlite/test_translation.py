"""Every error of SQLite becomes one of ours, in one place."""

import sqlite3
from pathlib import Path

import pytest

from ccm_orchestrator.adapters.sqlite.translation import translated
from ccm_orchestrator.errors import InputError, StoreCorrupt, StoreError, StoreUnavailable

PATH = Path("/state/ccm.db")
ACTIONS = (
    *("CREATE", "DELETE", "DROP", "INSERT", "PRAGMA", "READ", "SELECT", "TRANSACTION", "UPDATE", "ATTACH", "DETACH"),
    *("ALTER", "REINDEX", "ANALYZE", "FUNCTION", "SAVEPOINT", "RECURSIVE", "LIMIT", "DBCONFIG"),
)
"""Constants of the authorizer and of limits, which share the prefix of the result codes."""
NO_ERRORS = ("OK", "DENY", "IGNORE", "NOTICE", "WARNING", "ROW", "DONE")
CODES = {
    name: code
    for name, code in vars(sqlite3).items()
    if name.startswith("SQLITE_")
    and name.removeprefix("SQLITE_") not in NO_ERRORS
    and name.removeprefix("SQLITE_").split("_")[0] not in ACTIONS
    and code <= 0xFF  # the others are extended forms of these
}
OURS = {
    "SQLITE_CORRUPT": StoreCorrupt,
    "SQLITE_NOTADB": StoreCorrupt,
    "SQLITE_FORMAT": StoreCorrupt,
    "SQLITE_BUSY": StoreUnavailable,
    "SQLITE_LOCKED": StoreUnavailable,
    "SQLITE_FULL": StoreUnavailable,
    "SQLITE_READONLY": StoreUnavailable,
    "SQLITE_CANTOPEN": StoreUnavailable,
    "SQLITE_PERM": StoreUnavailable,
    "SQLITE_AUTH": StoreUnavailable,
    "SQLITE_IOERR": StoreUnavailable,
    "SQLITE_NOMEM": StoreUnavailable,
    "SQLITE_PROTOCOL": StoreUnavailable,
    "SQLITE_INTERRUPT": StoreUnavailable,
    "SQLITE_NOLFS": StoreUnavailable,
    # A mistake of ours or of a value, which waiting does not mend:
    "SQLITE_ERROR": StoreError,
    "SQLITE_INTERNAL": StoreError,
    "SQLITE_ABORT": StoreError,
    "SQLITE_NOTFOUND": StoreError,
    "SQLITE_EMPTY": StoreError,
    "SQLITE_SCHEMA": StoreError,
    "SQLITE_TOOBIG": StoreError,
    "SQLITE_CONSTRAINT": StoreError,
    "SQLITE_MISMATCH": StoreError,
    "SQLITE_MISUSE": StoreError,
    "SQLITE_RANGE": StoreError,
}


def raised(error: Exception) -> Exception:
    try:
        with translated(PATH):
            raise error
    except Exception as ours:  # noqa: BLE001 - whatever comes out is what is looked at
        return ours


def with_code(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("as SQLite says it")
    error.sqlite_errorcode = code
    return error


def test_every_result_code_has_its_place() -> None:
    assert CODES.keys() == OURS.keys()


@pytest.mark.parametrize("name", sorted(OURS))
@pytest.mark.parametrize("extension", [0, 3 << 8])
def test_each_code_extended_or_not_becomes_one_sentence_of_ours(name: str, extension: int) -> None:
    ours = raised(with_code(CODES[name] | extension))
    assert type(ours) is OURS[name]
    assert str(PATH) in str(ours) and str(ours).endswith(".") and "as SQLite says it" in str(ours)
    assert ours.__cause__ is not None and ours.__dict__["path"] == PATH


@pytest.mark.parametrize(
    "kind", [sqlite3.Error, *sqlite3.Error.__subclasses__(), *sqlite3.DatabaseError.__subclasses__()]
)
def test_every_class_of_the_driver_is_covered(kind: type[sqlite3.Error]) -> None:
    assert type(raised(kind("something"))) is StoreError


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates not allowed"), InputError),
        (OverflowError("Python int too large"), InputError),
        (PermissionError(13, "Permission denied"), StoreUnavailable),
    ],
)
def test_values_and_files_that_cannot_be_used_are_ours_too(error: Exception, ours: type[Exception]) -> None:
    assert type(raised(error)) is ours


def test_what_is_not_the_drivers_passes() -> None:
    assert isinstance(raised(LookupError("mine")), LookupError)
