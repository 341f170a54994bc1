"""API keys."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from ccm_orchestrator.cli.views.plain import ago, text
from ccm_orchestrator.cli.views.tables import listing


def new_key(key: dict[str, Any]) -> RenderableType:
    said = f"{key['name']} ({key['prefix']}) opens: {', '.join(key['scopes'])}. The key is shown this once:"
    return Group(text(said), text(key["key"], "bold"))


def key_table(keys: list[dict[str, Any]]) -> RenderableType:
    if not keys:
        return text("There is no API key; make one with `ccm-orchestrator token create NAME --scope read`.")
    table = listing(
        "key",
        "name",
        "scopes",
        "for",
        "made",
        "last used",
        "ends",
        elastic="name",
        spare=("made", "last used", "for", "scopes"),
    )
    for key in keys:
        table.add_row(
            text(key["prefix"], "bold"),
            text(key["name"]),
            text(", ".join(key["scopes"])),
            text(key["owner"] or "everybody"),
            text(ago(key["created_at"])),
            text(ago(key["last_used_at"]) or "never"),
            _end(key),
        )
    return table


def _end(key: dict[str, Any]) -> Text:
    if key["revoked_at"]:
        return text(f"revoked {ago(key['revoked_at'])}", "red")
    if key["expires_at"] is None:
        return text("never")
    return text(
        ago(key["expires_at"]) if key["works"] else f"expired {ago(key['expires_at'])}", "" if key["works"] else "red"
    )
