"""What a person typed, in the path of a request."""

from __future__ import annotations

from urllib.parse import quote

from ccm_orchestrator.errors import InputError


def path(template: str, *names: str) -> str:
    """Raises: InputError when a name cannot stand in a path."""
    return template.format(*map(segment, names))


def segment(ref: str) -> str:
    """As one part of a path. Raises: InputError."""
    if ref in ("", ".", "..") or "/" in ref:
        raise InputError(f"Expected an id or a name, got: {ref!r}.")
    return quote(ref, safe="")
