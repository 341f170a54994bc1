"""What is in a support bundle."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType

from ccm_orchestrator.cli.views.plain import text
from ccm_orchestrator.cli.views.tables import listing


def bundle_report(bundle: Any) -> RenderableType:
    table = listing("file", "kB", "what it is", elastic="what it is")
    for entry in bundle.entries:
        table.add_row(text(entry.name, "bold"), text(f"{entry.bytes / 1000:.1f}"), text(entry.about))
    words = "Secrets that are known here, and what looks like one, are masked. Look into it before you send it."
    return Group(table, "", text(f"Wrote {bundle.path}, readable by you alone."), text(words, "dim"))
