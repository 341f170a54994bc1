"""The end marker counts at the end only."""

from __future__ import annotations

import pytest

from ccm_orchestrator.domain.endings import MarkerKind, read_marker


@pytest.mark.parametrize(
    ("message", "kind", "text", "reason"),
    [
        ("All good.\n\n[DONE]", MarkerKind.DONE, "All good.", ""),
        ("All good. [DONE]", MarkerKind.DONE, "All good.", ""),
        ("All good.\n**[DONE]**\n", MarkerKind.DONE, "All good.", ""),
        ("[DONE]", MarkerKind.DONE, "", ""),
        ("No.\n[ERROR] tests are red", MarkerKind.ERROR, "No.", "tests are red"),
        ("I may not. [ERROR] denied", MarkerKind.ERROR, "I may not.", "denied"),
        ("[ERROR]", MarkerKind.ERROR, "", ""),
        ("It prints [DONE] when it ends.", MarkerKind.NONE, "It prints [DONE] when it ends.", ""),
        ("[DONE]\nOne more thing: look at the log.", MarkerKind.NONE, "[DONE]\nOne more thing: look at the log.", ""),
        (
            "[ERROR] appears in the log.\nI mended it. [DONE]",
            MarkerKind.DONE,
            "[ERROR] appears in the log.\nI mended it.",
            "",
        ),
        ("x[DONE]", MarkerKind.NONE, "x[DONE]", ""),
        ("", MarkerKind.NONE, "", ""),
    ],
)
def test_marker(message: str, kind: MarkerKind, text: str, reason: str) -> None:
    marker = read_marker(message)
    assert (marker.kind, marker.text, marker.reason) == (kind, text, reason)
