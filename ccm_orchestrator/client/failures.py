"""What goes wrong between a client and the daemon, in the words of the tree of errors.

A problem document becomes the same exception that the daemon raised: `except TaskNotFound` works on both sides.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from ccm_orchestrator import errors
from ccm_orchestrator.errors import AccessRefused, DaemonUnreachable, InputError, NotFound, OrchestratorError

URN = "urn:ccm-orchestrator:problem:"


class StreamEnded(DaemonUnreachable):
    """The daemon ended the stream, as it does when it stops."""


class UnexpectedAnswer(OrchestratorError):
    """What answers does not speak as ccm-orchestrator does."""


class WaitTimeout(OrchestratorError):
    """What was waited for did not happen in time."""


_KINDS: Mapping[str, type[OrchestratorError]] = {
    errors.problem_name(kind): kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, OrchestratorError)
}
_FALLBACKS: Mapping[int, type[OrchestratorError]] = {
    401: AccessRefused,
    403: AccessRefused,
    404: NotFound,
    421: AccessRefused,
}


def refusal(answer: httpx.Response) -> OrchestratorError:
    """The problem document of an answer that is not a success, as an error with its facts and `status`."""
    status = answer.status_code
    fallback = _FALLBACKS.get(status, InputError if answer.is_client_error else OrchestratorError)
    try:
        problem = answer.json()
        name, detail = str(problem["type"]).removeprefix(URN), str(problem["detail"])
    except (ValueError, KeyError, TypeError):
        return UnexpectedAnswer(f"{answer.request.url} answered {status} {answer.reason_phrase}.", status=status)
    return _KINDS.get(name, fallback)(detail, **_facts(problem), status=status)


def unreachable(error: httpx.RequestError, base_url: httpx.URL) -> DaemonUnreachable:
    """Errors of the HTTP library, in our words."""
    match error:
        case httpx.ConnectError() | httpx.ConnectTimeout():
            return DaemonUnreachable(f"Nothing listens at {base_url}.")
        case httpx.TimeoutException():
            return DaemonUnreachable(f"The daemon at {base_url} does not answer in time.")
        case _:
            return DaemonUnreachable(f"The connection to the daemon at {base_url} broke: {error}.")


def _facts(problem: Mapping[str, Any]) -> dict[str, Any]:
    facts = problem.get("facts")
    known = {name: value for name, value in facts.items() if name.isidentifier()} if isinstance(facts, dict) else {}
    refused = {"refused": problem["errors"]} if problem.get("errors") else {}
    return {name: value for name, value in {**known, **refused}.items() if name not in ("message", "status")}
