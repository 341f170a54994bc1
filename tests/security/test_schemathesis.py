"""The running daemon against its own description: requests made from it, right and wrong ones, find no failure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from ccm_orchestrator.api.app import describe
from ccm_orchestrator.security.secrets import API_TOKEN_FILE, INTERNAL_SECRET_FILE, read_secret
from tests.command_line import CalledHere, command_line

pytestmark = [pytest.mark.tmux, pytest.mark.slow]

EXAMPLES = 15
LIMIT_S = 20.0
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
"""Not that every odd request is refused: a query may carry more than a route looks at."""
WAITING = ("/internal/hooks", "/api/chat")
"""Held until a person or an agent answers, and nobody here does."""


@dataclass(frozen=True)
class Running:
    url: str
    api_token: str
    internal_secret: str

    def headers(self, path: str) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self.internal_secret if path.startswith('/internal') else self.api_token}"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """No Claude Code is found by it, so whatever is handed in is held and nothing is started."""
    with command_line(tmp_path_factory.mktemp("daemon"), CalledHere) as ccm:
        assert ccm("project", "add", ".", "--name", "sample").code == 0
        with ccm.daemon():
            token, secret = (read_secret(ccm.state / name).reveal() for name in (API_TOKEN_FILE, INTERNAL_SECRET_FILE))
            yield Running((ccm.state / "api-url").read_text().strip(), token, secret)


def suitable() -> dict[str, Any]:
    """The description without streams, which do not end, and without what waits for answers."""
    document = describe()
    document["paths"] = {
        path: operations
        for path, operations in document["paths"].items()
        if not any("text/event-stream" in str(operation) for operation in operations.values())
        and not path.startswith(WAITING)
    }
    return document


schema = schemathesis.openapi.from_dict(suitable())


@schema.parametrize()
@settings(
    max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
def test_the_running_daemon_is_as_it_is_described(case: schemathesis.Case[Any], running: Running) -> None:
    case.call_and_validate(
        base_url=running.url, headers=dict(running.headers(case.operation.path)), checks=CHECKS, timeout=LIMIT_S
    )
