"""Hook payloads as Claude Code sent them, and what they mean.

`tests/hook_payloads/EVENT.VARIANT.RELEASE/`: `payload.json` as recorded, `expected.json` what is read in it. A new
case is a new folder.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ccm_orchestrator.adapters.claude.hooks import read_hook
from ccm_orchestrator.adapters.claude.permissions import read_permission
from ccm_orchestrator.domain.events import HookRecord

CORPUS = Path(__file__).parent / "hook_payloads"
HAPPENED_AT = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Payload:
    name: str
    raw: bytes
    expected: dict[str, Any]

    @property
    def hook_event_name(self) -> str:
        return self.name.split(".")[0]


def payloads() -> Sequence[Payload]:
    return [
        Payload(
            directory.name,
            (directory / "payload.json").read_bytes(),
            json.loads((directory / "expected.json").read_text()),
        )
        for directory in sorted(CORPUS.iterdir())
        if directory.is_dir()
    ]


def told(hook_event_name: str, raw: bytes) -> dict[str, Any]:
    """What is read in a payload, in the form of `expected.json`."""
    if hook_event_name == "PermissionRequest":
        asked = read_permission(json.loads(raw))
        return {"dialog": asked.dialog, "tool_name": asked.tool_name, "suggestions": len(asked.suggestions)}
    record = HookRecord("r/1", "r", hook_event_name, HAPPENED_AT, raw)
    reading = read_hook(record, "t")
    result: dict[str, Any] = {
        "evidence": [
            {"signal": e.signal, "detail": e.detail, "data": dict(e.data), "subagent": e.subagent}
            for e in reading.evidence
        ],
        "events": [{"kind": event.kind, "data": dict(event.data)} for event in reading.events],
        "session_id": reading.session_id,
        "prompt": reading.prompt,
    }
    parsed: dict[str, Any] = json.loads(json.dumps(result))
    return parsed
