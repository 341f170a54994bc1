"""The architecture page shows what the code is."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ccm_orchestrator.domain.task import HoldReason, TaskStatus
from ccm_orchestrator.domain.transitions import mermaid

PAGE = Path(__file__).parents[2] / "docs" / "architecture.md"
BLOCK = re.compile(r"<!-- states -->\n```mermaid\n(.*?)```\n<!-- /states -->", re.DOTALL)


def test_the_state_diagram_is_the_table() -> None:
    """`CCM_UPDATE_DOCS=1` writes it anew."""
    text = PAGE.read_text()
    if os.environ.get("CCM_UPDATE_DOCS"):
        drawn = f"<!-- states -->\n```mermaid\n{mermaid()}\n```\n<!-- /states -->"
        PAGE.write_text(BLOCK.sub(lambda _: drawn, text))
        text = PAGE.read_text()
    found = BLOCK.search(text)
    assert found is not None
    assert found[1].strip() == mermaid()


def test_every_hold_reason_has_its_row_and_every_status_its_mention() -> None:
    text = PAGE.read_text()
    assert [reason for reason in HoldReason if f"| `{reason.value}` |" not in text] == []
    assert [status for status in TaskStatus if status.value not in text] == []
