"""Errors: every one a problem document, every class of the tree with a status of its own."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import httpx
import pytest

from ccm_orchestrator import errors
from ccm_orchestrator.api.problems import STATUS, problem_response
from tests.api_house import House


def tree(root: type[errors.OrchestratorError] = errors.OrchestratorError) -> Iterator[type[errors.OrchestratorError]]:
    yield root
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from tree(child)


def test_every_error_of_the_tree_has_a_status_and_no_other_has() -> None:
    assert set(STATUS) == set(tree())


@pytest.mark.parametrize("error", list(tree()), ids=lambda error: error.__name__)
def test_every_error_becomes_a_problem_document(error: type[errors.OrchestratorError]) -> None:
    response = problem_response(error())
    assert response.status_code == STATUS[error]
    assert response.media_type == "application/problem+json"
    hidden = STATUS[error] == 500
    assert (error().message.encode() in bytes(response.body)) is not hidden


def test_what_a_caller_can_mend_is_his_error_and_nothing_else_is() -> None:
    mendable = {error for error in tree() if issubclass(error, errors.InputError | errors.AccessRefused)}
    assert {error for error, status in STATUS.items() if 400 <= status < 500} == (
        mendable - {errors.InvalidSettings} | {errors.Fenced, errors.WindowGone}
    )


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/api/tasks/", 404),
        ("DELETE", "/api/tasks", 405),
        ("GET", "/internal/nowhere", 404),
        ("GET", "/docs", 404),
        ("GET", "/openapi.json", 404),
        ("GET", "/debug/metrics", 404),
    ],
)
async def test_what_is_not_there_is_a_problem_document(
    api: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    response = await api.request(method, path)
    assert (response.status_code, response.json()["status"]) == (status, status)
    assert response.headers["content-type"] == "application/problem+json"
    assert (response.headers.get("allow") is not None) is (status == 405)


async def test_a_bug_is_told_by_number_only_and_its_cause_is_in_the_log(
    house: House, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(owner: str | None = None) -> None:
        raise ZeroDivisionError("canary /home/ada/.ssh")

    monkeypatch.setattr(house.store, "counts", broken)
    with caplog.at_level(logging.ERROR):
        response = await api.get("/api/status")
    body = response.json()
    assert response.status_code == 500 and response.headers["content-type"] == "application/problem+json"
    assert "canary" not in response.text and "ZeroDivision" not in response.text
    assert f"incident {body['incident']}" in caplog.text and "canary" in caplog.text


async def test_a_store_that_is_away_is_said_with_when_to_come_back(
    house: House, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(owner: str | None = None) -> None:
        raise errors.StoreUnavailable()

    monkeypatch.setattr(house.store, "counts", away)
    response = await api.get("/api/status")
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    assert response.json()["detail"] == "The task store does not answer at the moment."


async def test_every_refused_value_is_named_and_none_is_repeated(api: httpx.AsyncClient) -> None:
    response = await api.post("/api/tasks", json={"project": 1, "prompt": "canary", "priority": "canary"})
    body = response.json()
    assert [entry["where"] for entry in body["errors"]] == ["body.project", "body.priority"]
    assert body["detail"].endswith("(and 1 more).") and "canary" not in response.text


async def test_no_answer_is_cached_framed_or_sniffed(api: httpx.AsyncClient) -> None:
    for response in (await api.get("/api/tasks"), await api.get("/nowhere"), await api.get("/health")):
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
        assert not any(name.startswith("access-control") for name in response.headers)
