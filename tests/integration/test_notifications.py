"""Messages by the real Apprise to a real receiver."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from ccm_orchestrator.adapters.apprise.carrier import AppriseCarrier
from ccm_orchestrator.domain.events import BusEvent, EventKind
from ccm_orchestrator.domain.notices import NoticeStatus
from ccm_orchestrator.domain.telling import NoticeTarget
from ccm_orchestrator.engine.bus import Bus
from ccm_orchestrator.engine.herald import Herald, HeraldRules
from ccm_orchestrator.fakes.clock import FakeClock
from ccm_orchestrator.fakes.memory_journal import MemoryEventStore
from ccm_orchestrator.fakes.memory_notices import MemoryNoticeQueue
from ccm_orchestrator.ports.notices import NoticeQuery
from tests.receiver import Receiver, receiving


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as server:
        yield server


class Scene:
    def __init__(self, url: str) -> None:
        self.clock, self.queue, self.bus = FakeClock(), MemoryNoticeQueue(), Bus(MemoryEventStore())
        self.target = NoticeTarget("phone", url)
        rules = HeraldRules("https://board.example")
        carrier = AppriseCarrier()
        self.herald = Herald([self.target], self.queue, carrier, self.bus, self.clock, self._project, rules)

    async def happens(self, kind: EventKind, **data: object) -> None:
        await self.bus.publish(BusEvent(kind, self.clock.now(), "task-1", "run-1", data))
        await self.herald.read(await self.bus.log.read(await self.queue.cursor() or 0, 100))

    async def send(self) -> None:
        await self.herald.send(self.target)

    async def _project(self, _task_id: str) -> str:
        await asyncio.sleep(0)
        return "/srv/shop"


async def test_a_failed_task_is_one_harmless_message(receiver: Receiver) -> None:
    scene = Scene(receiver.url)
    for _ in range(2):
        await scene.happens(EventKind.TASK_FAILED, reason="<b>@everyone</b> \x1b[31m[x](http://evil)")
    await scene.send()
    await scene.send()
    (told,) = receiver.got
    assert told["title"] == "ccm-orchestrator: A task failed (2 times)"
    assert "https://board.example/api/tasks/task-1" in told["message"]
    assert not any(bad in told["message"] for bad in ("<b>", "\x1b", "](", "http://evil", "@everyone"))


async def test_what_waits_is_told_after_a_while_and_not_when_it_was_answered(receiver: Receiver) -> None:
    scene = Scene(receiver.url)
    await scene.happens(EventKind.PERMISSION_REQUESTED, request_id="p1", agent="ant", tool_name="Bash")
    await scene.happens(EventKind.PERMISSION_DECIDED, request_id="p1")
    scene.clock.advance(61)
    await scene.send()
    assert receiver.got == []
    await scene.happens(EventKind.PERMISSION_REQUESTED, request_id="p2", agent="ant", tool_name="Bash")
    await scene.send()
    assert receiver.got == []
    scene.clock.advance(61)
    await scene.send()
    assert "https://board.example/api/permissions/p2" in receiver.got[0]["message"]


async def test_a_target_that_is_down_gets_it_later(receiver: Receiver) -> None:
    scene = Scene(receiver.url)
    receiver.answer = 503
    await scene.happens(EventKind.TASK_FAILED, reason="It broke.")
    await scene.send()
    (known,) = await scene.queue.notices(NoticeQuery())
    assert (known.status, known.tries) == (NoticeStatus.QUEUED, 1)
    assert "503" in (known.error or "")
    receiver.answer = 200
    scene.clock.advance(timedelta(minutes=1).total_seconds())
    await scene.send()
    assert len(receiver.got) == 1


async def test_a_url_that_is_none_is_an_error_without_the_url() -> None:
    error = await AppriseCarrier().send("nonsense://secret-canary", "t", "b", "info")
    assert error is not None
    assert "secret-canary" not in error


async def test_a_target_that_answers_without_end_is_given_up_before_it_fills_the_memory() -> None:
    async def endless(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        with suppress(ConnectionError):
            while True:
                writer.write(b" " * 65_536)
                await writer.drain()
        writer.close()

    async with await asyncio.start_server(endless, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        error = await AppriseCarrier(timeout_s=60).send(f"json://127.0.0.1:{port}", "t", "b", "info")
    assert error is not None and "took longer" not in error


ASIDE = "setsid sh -c 'echo $$ > aside; exec sleep 60'"
"""A process that no signal to the group of the sender reaches."""


@pytest.mark.parametrize(
    "script",
    [
        "exec sleep 60",
        "cat > /dev/null; sleep 60 & exec sleep 60",
        "cat > /dev/null; sleep 60 & exit 0",
        f"cat > /dev/null; {ASIDE} & wait",
    ],
    ids=["it reads nothing", "its child hangs, too", "its child outlives it", "its child is out of reach"],
)
async def test_a_sender_that_hangs_is_ended_with_what_it_started(script: str, tmp_path: Path) -> None:
    child = ["/bin/sh", "-c", f"cd {tmp_path}; echo $$ > group; {script}"]
    try:
        async with asyncio.timeout(15):
            error = await AppriseCarrier(0.3, child).send("json://127.0.0.1", "t", "b" * 200_000, "info")
        assert error == "it took longer than 0.3 s"
        assert not members(int((tmp_path / "group").read_text()))
    finally:
        if (tmp_path / "aside").exists():
            os.kill(int((tmp_path / "aside").read_text()), signal.SIGKILL)


def members(group: int) -> list[int]:
    """Processes of the group that live."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,pgid=,stat="], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listed.splitlines()]
    return [int(pid) for pid, pgid, state, *_ in rows if int(pgid) == group and not state.startswith("Z")]
