"""Errors as RFC 9457 problem documents: one table from the exception tree to statuses, one shape for everything."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from ccm_orchestrator import errors

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"

STATUS: Mapping[type[errors.OrchestratorError], int] = {
    errors.OrchestratorError: 500,
    errors.InputError: 422,
    errors.InvalidTask: 422,
    errors.UnknownProject: 422,
    errors.UnknownDependency: 422,
    errors.DependencyCycle: 422,
    errors.UnknownProfile: 422,
    errors.InvalidProject: 422,
    errors.QueueFull: 429,
    errors.NotFound: 404,
    errors.TaskNotFound: 404,
    errors.RunNotFound: 404,
    errors.RuleNotFound: 404,
    errors.MessageNotFound: 404,
    errors.StandingAgentNotFound: 404,
    errors.PermissionNotFound: 404,
    errors.KeyNotFound: 404,
    errors.SessionNotFound: 404,
    errors.WrongStatus: 409,
    errors.OutputGone: 410,
    errors.InvalidSettings: 500,
    errors.AccessRefused: 403,
    errors.MalformedHost: 400,
    errors.Misdirected: 421,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.TooManyRequests: 429,
    errors.IdentityUnavailable: 503,
    errors.PortBusy: 500,
    errors.Fenced: 409,
    errors.StaleTerm: 503,
    errors.StoreError: 500,
    errors.StoreUnavailable: 503,
    errors.StoreRefused: 502,
    errors.SchemaTooOld: 500,
    errors.SchemaTooNew: 500,
    errors.StoreCorrupt: 500,
    errors.StateDirectoryBusy: 503,
    errors.TerminalError: 503,
    errors.TerminalUnavailable: 503,
    errors.WindowGone: 410,
    errors.TmuxMissing: 503,
    errors.DriverError: 503,
    errors.AgentMissing: 503,
    errors.AgentUnsupported: 503,
    errors.NotLoggedIn: 503,
    errors.DaemonUnreachable: 503,
    errors.ApiLost: 503,
}
"""Every class of the tree by name: a new one is a decision, and a test asks for it."""

_HEADERS: Mapping[int, Mapping[str, str]] = {
    401: {"WWW-Authenticate": "Bearer"},
    429: {"Retry-After": "30"},
    503: {"Retry-After": "5"},
}


class FieldProblem(BaseModel):
    where: str = Field(description="Path of the value, such as `body.priority`.")
    what: str


class Problem(BaseModel):
    """An RFC 9457 problem document."""

    type: str = Field(description="`urn:ccm-orchestrator:problem:NAME`, or `about:blank` for plain HTTP errors.")
    title: str
    status: int
    detail: str = Field(description="One sentence: what was wrong, where, and what to do.")
    errors: list[FieldProblem] | None = Field(
        default=None, description="Every value that was refused, after a validation."
    )
    facts: dict[str, str | int | float | bool] | None = Field(
        default=None, description="What a program may want to know."
    )
    incident: str | None = Field(default=None, description="Find this in the daemon's log, after an error of its own.")


def problem_response(error: errors.OrchestratorError) -> JSONResponse:
    """The answer to an error of ours."""
    if isinstance(error, errors.TooManyRequests):
        return _response(problem_of(error), {"Retry-After": str(vars(error).get("retry_after_s", 1))})
    return _response(problem_of(error))


def problem_of(error: errors.OrchestratorError) -> Problem:
    status = STATUS[type(error)]
    if status == 500:
        return _failure(error)
    name = errors.problem_name(type(error))
    title = name.replace("-", " ").capitalize()
    return Problem(type=_urn(name), title=title, status=status, detail=error.message, facts=_facts(error))


def install(app: FastAPI) -> None:
    """Every answer that is not a success becomes a problem document."""
    app.add_exception_handler(errors.OrchestratorError, _on_ours)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(Exception, _on_failure)


def http_problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    title = HTTPStatus(status).phrase
    return _response(Problem(type="about:blank", title=title, status=status, detail=detail), headers)


def schema() -> dict[str, Any]:
    """JSON schema of a problem document."""
    return Problem.model_json_schema(ref_template="#/components/schemas/{model}")


async def _on_ours(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, errors.OrchestratorError)
    return problem_response(error)


async def _on_http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return http_problem(error.status_code, error.detail, error.headers)


async def _on_validation(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return _response(problem_of_validation(error.errors()))


def problem_of_validation(refused: Sequence[Any]) -> Problem:
    """`refused`: what pydantic says, an entry for each value."""
    found = [FieldProblem(where=_path(entry["loc"]), what=entry["msg"]) for entry in refused]
    unreadable = any(entry["type"] == "json_invalid" for entry in refused)
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return Problem(
        type=_urn("unreadable-json" if unreadable else "invalid-request"),
        title="Unreadable JSON" if unreadable else "Invalid request",
        status=400 if unreadable else 422,
        detail=f"{found[0].where}: {found[0].what}{more}.",
        errors=found,
    )


async def _on_failure(_request: Request, error: Exception) -> JSONResponse:
    return _response(_failure(error))


def _failure(error: Exception) -> Problem:
    """Says nothing of the cause: it may hold paths or secrets. The log has it, under the same number."""
    incident = secrets.token_hex(4)
    log.error("incident %s while answering a request", incident, exc_info=error)
    detail = f"The daemon failed to answer; its log tells why under `incident {incident}`."
    return Problem(type=_urn("failure"), title="Internal error", status=500, detail=detail, incident=incident)


class _ProblemResponse(JSONResponse):
    media_type = MEDIA_TYPE

    def render(self, content: Any) -> bytes:
        """A sentence may quote half a character, which came as JSON and is no text."""
        return json.dumps(content, ensure_ascii=False).encode("utf-8", "replace")


def _response(problem: Problem, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return _ProblemResponse(
        problem.model_dump(exclude_none=True),
        status_code=problem.status,
        headers={**_HEADERS.get(problem.status, {}), **(headers or {})},
    )


def _facts(error: errors.OrchestratorError) -> dict[str, str | int | float | bool] | None:
    facts = {name: value for name, value in vars(error).items() if isinstance(value, str | int | float | bool)}
    return facts or None


def _urn(name: str) -> str:
    return f"urn:ccm-orchestrator:problem:{name}"


def _path(location: tuple[str | int, ...]) -> str:
    return ".".join(str(part) for part in location)
