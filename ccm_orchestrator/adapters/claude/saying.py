"""What an agent says, read from its transcript as it grows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ccm_orchestrator.adapters.claude.payload import Json, parse_object, table, tables, text
from ccm_orchestrator.adapters.plain_files import opened

MOST_BYTES = 4_000_000
"""Read at once; what is left is read the next time."""


def said_since(path: Path, place: int | None) -> tuple[Sequence[str], int]:
    """The agent's texts in the whole lines after that many bytes, and how far they reach. None: only where it ends."""
    try:
        with opened(path) as file:
            if place is None:
                return (), file.seek(0, 2)
            file.seek(place)
            read = file.read(MOST_BYTES)
    except OSError:
        return (), place or 0
    whole = read[: read.rfind(b"\n") + 1]
    records = [record for line in whole.splitlines() if b'"assistant"' in line and (record := parse_object(line))]
    return [said for record in records if (said := _text_of(record))], place + len(whole)


def _text_of(record: Json) -> str:
    """Empty for what a sub-agent says, and for calls of tools."""
    if record.get("type") != "assistant" or record.get("isSidechain"):
        return ""
    blocks = tables(table(record, "message"), "content")
    return "\n".join(text(block, "text") for block in blocks if block.get("type") == "text").strip()
