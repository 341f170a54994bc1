"""The page about rows says what the table is."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from ccm_orchestrator.adapters.sqlite.database import Database
from ccm_orchestrator.domain.task import MAX_PROMPT_BYTES
from tests.docs.source import CHECKOUT

PAGE = (CHECKOUT / "docs" / "tasks.md").read_text()
QUICK_START = (CHECKOUT / "docs" / "quickstart.md").read_text()
ROW = re.compile(r"^\| `(\w+)` \| ([A-Z]+) \| (.+?) \| (.+) \|$", re.M)

WORDS = {
    "random": "lower(hex(randomblob(16)))",
    "now": "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')",
    "none": None,
    "any": None,
    "the profile's": None,
    "the project's, else `executor`": None,
    "counts up": None,
    "required": None,
}
"""What the page calls a default, and what the database does."""


@dataclass(frozen=True)
class Column:
    name: str
    type: str
    default: str | None
    required: bool


@pytest.fixture
async def schema(tmp_path: Path) -> list[Column]:
    database = Database(tmp_path / "ccm.db")
    await database.open()
    await database.close()
    with closing(sqlite3.connect(tmp_path / "ccm.db")) as connection:
        rows = connection.execute(
            "SELECT name, type, dflt_value, \"notnull\" FROM pragma_table_info('tasks')"
        ).fetchall()
    return [Column(name, kind, default, bool(needed) and default is None) for name, kind, default, needed in rows]


def described(page: str) -> Iterator[Column]:
    for name, kind, default, _ in ROW.findall(page):
        literal = default.strip("`")
        value = WORDS[default] if default in WORDS else literal if literal.isdigit() else f"'{literal}'"
        yield Column(name, kind, value, default == "required")


def test_the_tables_are_the_schema(schema: list[Column]) -> None:
    assert sorted(described(PAGE), key=lambda column: column.name) == sorted(schema, key=lambda column: column.name)


def test_the_quick_start_names_columns_as_they_are(schema: list[Column]) -> None:
    told = list(described(QUICK_START))
    assert told and [column for column in told if column not in schema] == []


def test_the_limit_of_a_prompt_is_the_one_that_is_enforced() -> None:
    assert MAX_PROMPT_BYTES == 4_000_000 and "Up to 4 MB" in PAGE


async def test_the_example_inserts_a_task(tmp_path: Path) -> None:
    (example,) = re.findall(r"```sql\n(.*?)```", PAGE, re.S)
    database = Database(tmp_path / "ccm.db")
    await database.open()
    await database.close()
    with closing(sqlite3.connect(tmp_path / "ccm.db")) as connection:
        connection.execute(example)
        assert connection.execute("SELECT status, profile FROM tasks").fetchall() == [("queued", "executor")]
