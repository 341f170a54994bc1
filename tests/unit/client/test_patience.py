"""What is sent again, and what is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from ccm_orchestrator.client import AsyncClient, Client, DaemonUnreachable, Patience, UnexpectedAnswer
from ccm_orchestrator.client.calls import agents, machines, tasks
from ccm_orchestrator.errors import OrchestratorError, QueueFull, StoreUnavailable

URN = "urn:ccm-orchestrator:problem:"
QUICK = Patience(first_wait_s=0.001, longest_wait_s=1.0)
BROKEN, REFUSED = httpx.ReadError("cut"), httpx.ConnectError("nobody")
STATUS = {
    "version": "1",
    "system_id": "desk",
    "started_at": "2026-01-01T00:00:00Z",
    "trouble": "",
    "max_agents": 1,
    "queue_limit": 1,
    "agents": 0,
    "tasks": {},
}
GOOD = httpx.Response(200, json=STATUS)


def problem(status: int, name: str, **headers: str) -> httpx.Response:
    return httpx.Response(status, json={"type": URN + name, "detail": "So it is."}, headers=headers)


class Daemon:
    """Answers as it is told, the last answer for ever, and keeps what it was sent."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self._answers = list(answers)
        self.heard: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.heard.append(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    def client(self, patience: Patience = QUICK) -> Client:
        return Client("http://127.0.0.1", "t", patience=patience, transport=httpx.MockTransport(self))


@pytest.mark.parametrize(
    ("describe", "trouble", "tries"),
    [
        (machines.status, BROKEN, 4),
        (machines.status, REFUSED, 4),
        (machines.status, problem(503, "store-unavailable"), 4),
        (lambda: tasks.add("blog", "x"), BROKEN, 4),
        (lambda: tasks.stop("abcd"), REFUSED, 4),  # nothing was sent
        (lambda: tasks.stop("abcd"), BROKEN, 1),  # perhaps it was done
        (lambda: tasks.stop("abcd"), problem(503, "store-unavailable"), 1),
        (lambda: agents.send("abcd", "Hello"), BROKEN, 4),
        (lambda: agents.deny("perm-1"), BROKEN, 1),
        (lambda: agents.deny("perm-1"), problem(429, "rate-limited"), 4),  # nothing was done
        (lambda: tasks.add("blog", "x"), problem(422, "invalid-task"), 1),
        (lambda: tasks.add("blog", "x"), problem(500, "failure"), 1),
    ],
)
def test_only_what_is_safe_is_sent_again(
    describe: Callable[[], Any], trouble: httpx.Response | Exception, tries: int
) -> None:
    daemon = Daemon(trouble)
    with daemon.client() as ccm, pytest.raises(OrchestratorError):
        ccm.ask(describe())
    assert len(daemon.heard) == tries


def test_a_lost_answer_is_asked_for_with_the_same_key_and_body() -> None:
    daemon = Daemon(BROKEN, BROKEN, problem(503, "store-unavailable"), problem(422, "invalid-task"))
    with daemon.client() as ccm, pytest.raises(OrchestratorError):
        ccm.tasks.add("blog", "x")
    assert len({(request.headers["Idempotency-Key"], request.content) for request in daemon.heard}) == 1
    assert len(daemon.heard) == 4


def test_it_gets_its_answer_in_the_end() -> None:
    with Daemon(REFUSED, BROKEN, GOOD).client() as ccm:
        assert ccm.status().system_id == "desk"


async def test_the_awaited_client_is_as_patient() -> None:
    daemon = Daemon(REFUSED, BROKEN, problem(503, "store-unavailable"), GOOD)
    transport = httpx.MockTransport(daemon)
    async with AsyncClient("http://127.0.0.1", "t", patience=QUICK, transport=transport) as ccm:
        assert (await ccm.status()).system_id == "desk"
    assert len(daemon.heard) == 4


def test_a_daemon_that_asks_for_too_much_patience_is_believed_at_once() -> None:
    daemon = Daemon(problem(429, "queue-full", **{"Retry-After": "30"}))
    with daemon.client() as ccm, pytest.raises(QueueFull, match="So it is"):
        ccm.tasks.add("blog", "x")
    assert len(daemon.heard) == 1


def test_waits_grow_and_are_spread_and_obey_the_daemon() -> None:
    patience, call = Patience(), machines.status()
    waits = [patience.after_failure(call, tried, BROKEN, 1.0) for tried in (1, 2, 3, 4)]
    assert waits == [0.2, 0.4, 0.8, None]
    assert patience.after_failure(call, 1, BROKEN, 0.0) == 0.1
    busy = httpx.Response(503, headers={"Retry-After": "5"})
    assert patience.after_answer(call, 1, busy, 1.0) == 5
    assert patience.after_answer(call, 4, busy, 1.0) is None
    for nonsense in ("", "soon", "-1", "²", "Wed, 21 Oct 2026 07:28:00 GMT"):
        answer = httpx.Response(503, headers=[(b"Retry-After", nonsense.encode("latin-1"))])
        assert patience.after_answer(call, 1, answer, 1.0) == 0.2


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>A router's page</html>"),
        httpx.Response(200, json={"status": "ok"}),
        httpx.Response(200, json=[1]),
        httpx.Response(200),
        httpx.Response(200, json=STATUS | {"started_at": "yesterday"}),
        httpx.Response(302, headers={"Location": "http://127.0.0.1:1/steal"}),
        httpx.Response(400, text="Bad Request"),
    ],
)
def test_what_does_not_speak_as_the_daemon_is_said_to(answer: httpx.Response) -> None:
    daemon = Daemon(answer)
    with daemon.client() as ccm, pytest.raises(UnexpectedAnswer):
        ccm.status()
    assert len(daemon.heard) == 1


def test_a_newer_daemon_may_say_more() -> None:
    newer = STATUS | {"mood": "good", "supabase": {"state": "levitating", "since": None, "altitude": 3}}
    with Daemon(httpx.Response(200, json=newer)).client() as ccm:
        health = ccm.status().supabase
    assert health is not None and health.state == "levitating"


def test_a_problem_of_a_newer_daemon_is_raised_by_its_status() -> None:
    with (
        Daemon(problem(409, "unheard-of")).client() as ccm,
        pytest.raises(OrchestratorError, match="So it is") as caught,
    ):
        ccm.status()
    assert vars(caught.value)["status"] == 409


def test_the_last_failure_is_told() -> None:
    with Daemon(StoreUnavailable()).client() as ccm, pytest.raises(StoreUnavailable):
        ccm.status()  # what a transport of somebody else raises goes through
    with Daemon(httpx.ReadTimeout("late")).client() as ccm, pytest.raises(DaemonUnreachable, match="in time"):
        ccm.status()
    with (
        Daemon(REFUSED).client() as ccm,
        pytest.raises(DaemonUnreachable, match=r"Nothing listens at http://127.0.0.1"),
    ):
        ccm.status()
