"""The committed description of the API is that of the routes."""

from __future__ import annotations

import json
from typing import Any

from ccm_orchestrator.api.app import document
from tests.docs.source import CHECKOUT

COMMITTED = CHECKOUT / "docs" / "openapi.json"


def described() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(COMMITTED.read_text())
    return loaded


def test_the_committed_description_is_that_of_the_routes() -> None:
    assert COMMITTED.read_text() == document(), "run `scripts/update-openapi`, and look at what changed for clients"


def test_every_operation_says_what_it_wants_and_how_it_fails() -> None:
    for path, operations in described()["paths"].items():
        for method, operation in operations.items():
            assert "default" in operation["responses"], (method, path)
            assert ("security" in operation) is not path.startswith("/health"), (method, path)
