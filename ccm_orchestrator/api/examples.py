"""Bodies of requests as the description of the API shows them. A test sends each of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ALLOW = {"decision": "allow"}
EXAMPLES: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("POST", "/api/tasks"): {
        "project": "shop",
        "prompt": "Fix the failing test of the cart",
        "priority": 5,
        "time_limit_s": 3600,
        "budget_usd": 2.5,
        "tags": ["ci"],
        "dedup_key": "nightly",
    },
    ("POST", "/api/agents"): {
        "name": "reviewer",
        "project": "shop",
        "system_prompt": "You review changes. Be brief.",
        "idle_s": 600,
    },
    ("PATCH", "/api/agents/{agent}"): {"model": "opus", "idle_s": 1800, "budget_usd": 5},
    ("POST", "/api/agents/{agent}/messages"): {"text": "Also update the changelog.", "wait_s": 0},
    ("POST", "/api/agents/{agent}/permissions"): ALLOW,
    ("POST", "/api/permissions/{request_id}"): {"decision": "deny", "reason": "Use the staging database."},
    ("POST", "/api/approval-rules"): {"decision": "allow", "tool": "Bash", "command": "npm test *", "project": "shop"},
    ("POST", "/api/chat"): {"message": "What is left to do?", "agent": "brain", "project": "shop", "wait_s": 0},
    ("POST", "/api/keys"): {"name": "build server", "scopes": ["read", "submit"]},
    ("POST", "/api/keys/{key}/rotate"): {"overlap_s": 86400},
    ("POST", "/api/projects"): {"path": "/srv/shop", "name": "shop"},
    ("POST", "/api/projects/{name}/trust"): {
        "fingerprint": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    },
    ("POST", "/api/systems/{system_id}/drain"): {"draining": True},
    ("POST", "/spawn"): {
        "prompt": "List the open TODOs",
        "project": "shop",
        "create_session": True,
        "tools_allowed": ["Read", "Grep"],
    },
    ("POST", "/message/{session_id}"): {"prompt": "Fix the first of them"},
    ("POST", "/internal/spawn-agent"): {"project": "shop", "prompt": "Fix the failing test"},
    ("POST", "/internal/kill-agent"): {"agent": "ccm-1f3c9a2b"},
    ("POST", "/internal/hooks/{run_id}/permission"): {"tool_name": "Bash", "tool_input": {"command": "npm test"}},
}


def add_example(operation: dict[str, Any], method: str, path: str) -> None:
    example = EXAMPLES.get((method, path))
    if example is not None:
        operation["requestBody"]["content"]["application/json"]["example"] = dict(example)
