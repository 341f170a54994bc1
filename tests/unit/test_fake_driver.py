"""The driver without an agent keeps the promises that the engine builds on, as the real one does."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ccm_orchestrator.adapters.claude.driver import ClaudeDriver
from ccm_orchestrator.domain.agent import Evidence, Signal, Source
from ccm_orchestrator.domain.events import EventKind, HookRecord
from ccm_orchestrator.errors import NotLoggedIn
from ccm_orchestrator.fakes.driver import FakeDriver
from ccm_orchestrator.ports.agents import AgentDriver, SessionTrace
from ccm_orchestrator.ports.terminal import Key
from tests.unit.claude.orders import a_run, an_order

AT = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


async def _no_projects() -> Sequence[Path]:
    return []


@pytest.fixture(params=["fake", "claude"])
def driver(request: pytest.FixtureRequest) -> AgentDriver:
    if request.param == "fake":
        return FakeDriver()
    return ClaudeDriver("claude", {"HOME": "/nowhere"}, Path("/opt/ccm-hook"), _no_projects)


def record(raw: bytes) -> HookRecord:
    return HookRecord("run/1", "run", "Stop", AT, raw)


def test_a_malformed_hook_gives_an_event_and_no_evidence(driver: AgentDriver) -> None:
    reading = driver.read_hook(record(b"{"), "task")
    assert (list(reading.evidence), [event.kind for event in reading.events]) == ([], [EventKind.HOOK_MALFORMED])


def test_reading_is_pure(driver: AgentDriver) -> None:
    raw = b'{"signal": "turn_ended", "detail": "x", "last_assistant_message": "x"}'
    assert driver.read_hook(record(raw), "task") == driver.read_hook(record(raw), "task")
    assert driver.read_hook(record(raw), "task").evidence[0].signal is Signal.TURN_ENDED


def test_a_screen_may_say_nothing(driver: AgentDriver) -> None:
    assert driver.read_screen("$ \n", AT, "run") is None


def test_a_message_ends_with_enter(driver: AgentDriver) -> None:
    assert list(driver.message_keys("hello", "")) == ["hello", Key.ENTER]


def test_what_asks_nothing_is_refused(driver: AgentDriver) -> None:
    with pytest.raises(ValueError, match="expected"):
        driver.read_permission({})


async def test_an_agent_that_left_nothing_is_not_seen(driver: AgentDriver, tmp_path: Path) -> None:
    trace = SessionTrace(a_run(), None, tmp_path, None, None)
    assert list(await driver.observe(trace)) == []
    assert (await driver.report(trace, [])).text == ""


async def test_the_fake_says_what_it_is_told_to_say(tmp_path: Path) -> None:
    fake = FakeDriver()
    launch = await fake.prepare(an_order(prompt="Fix it"))
    assert launch.files[str(launch.stdin_file)] == b"Fix it"
    fake.refusal = NotLoggedIn()
    with pytest.raises(NotLoggedIn):
        await fake.prepare(an_order())
    seen = Evidence(Source.REGISTRY, Signal.BUSY, AT)
    run = a_run()
    fake.observations[run.run_id] = [seen]
    assert await fake.observe(SessionTrace(run, None, tmp_path, None, None)) == [seen]
    screen = fake.read_screen("anything\nblocked permission\n", AT, run.run_id)
    assert screen == Evidence(Source.SCREEN, Signal.BLOCKED, AT, "permission")
    payload = {"signal": "asked", "detail": "plan", "kind": "hook", "data": {"a": 1}, "prompt": "p", "session_id": "s"}
    reading = fake.read_hook(record(json.dumps(payload).encode()), "task")
    assert (reading.evidence[0].detail, reading.events[0].data, reading.prompt, reading.session_id) == (
        "plan",
        {"a": 1},
        "p",
        "s",
    )
