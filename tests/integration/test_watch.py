"""Both watches against the real file system and a real launcher."""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from ccm_orchestrator.adapters.watch import FileWatch, PollingWatch
from ccm_orchestrator.ports.launching import Wakeup, WakeupKind
from tests.launching import PATIENCE_S, Launchers

RUN_ID = "9" * 32
OTHER = "8" * 32
MAKERS: dict[str, Callable[[Path], FileWatch | PollingWatch]] = {"inotify": FileWatch, "polling": PollingWatch}


class Listener:
    def __init__(self, watch: FileWatch | PollingWatch) -> None:
        self.watch = watch
        self.heard: list[Wakeup] = []
        self._task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async for wakeup in self.watch.wakeups():
            self.heard.append(wakeup)

    async def hears(self, kind: WakeupKind, run_id: str | None = None) -> None:
        """The wake-up came since the last look; everything that came before it is forgotten."""
        deadline_s = time.monotonic() + PATIENCE_S
        while (kind, run_id) not in {(wakeup.kind, wakeup.run_id) for wakeup in self.heard}:
            assert time.monotonic() < deadline_s, f"not heard: {kind} of {run_id}, but {self.heard}"
            await asyncio.sleep(0.005)
        self.heard.clear()

    async def quiet(self) -> None:
        """Nothing is on its way any more: a round trip through the watch, twice."""
        for _ in range(2):
            marker = self.watch_directory / f"marker{time.monotonic_ns()}"
            marker.touch()
            await self.hears(WakeupKind.REGISTRY)

    watch_directory: Path

    async def close(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task


@pytest.fixture(params=MAKERS)
async def listener(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Listener]:
    for run_id in (RUN_ID, OTHER):
        (tmp_path / "runs" / run_id).mkdir(parents=True)
        (tmp_path / "spool" / run_id).mkdir(parents=True)
    (tmp_path / "markers").mkdir()
    watch = MAKERS[request.param](tmp_path)
    await watch.start()
    watch.add_registry(tmp_path / "markers")
    made = Listener(watch)
    made.watch_directory = tmp_path / "markers"
    yield made
    await made.close()
    await watch.stop()
    await watch.stop()


async def add_run(listener: Listener) -> None:
    listener.watch.add_run(RUN_ID)
    await listener.quiet()
    listener.heard.clear()


def replace(path: Path, content: str) -> None:
    path.with_name(f"{path.name}.tmp").write_text(content)
    path.with_name(f"{path.name}.tmp").rename(path)


async def test_a_hook_event_wakes(listener: Listener, tmp_path: Path) -> None:
    await add_run(listener)
    (tmp_path / "spool" / RUN_ID / "Stop.1.0.json").write_text("{}")
    await listener.hears(WakeupKind.SPOOL, RUN_ID)


async def test_records_of_the_launcher_wake(listener: Listener, tmp_path: Path) -> None:
    await add_run(listener)
    for name in ("run.json", "exit.json"):
        replace(tmp_path / "runs" / RUN_ID / name, "{}")
        await listener.hears(WakeupKind.EXIT, RUN_ID)


async def test_a_growing_stream_wakes_again_and_again(listener: Listener, tmp_path: Path) -> None:
    await add_run(listener)
    with (tmp_path / "runs" / RUN_ID / "stream.jsonl").open("w") as stream:
        for _ in range(3):
            stream.write("{}\n")
            stream.flush()
            await listener.hears(WakeupKind.STREAM, RUN_ID)


async def test_other_runs_do_not_wake(listener: Listener, tmp_path: Path) -> None:
    await add_run(listener)
    (tmp_path / "spool" / OTHER / "Stop.1.0.json").write_text("{}")
    replace(tmp_path / "runs" / OTHER / "exit.json", "{}")
    listener.watch.forget_run(RUN_ID)
    (tmp_path / "spool" / RUN_ID / "Stop.1.0.json").write_text("{}")
    heard = listener.heard
    await listener.quiet()
    assert not {wakeup.run_id for wakeup in heard} - {None}


async def test_what_was_there_before_wakes(listener: Listener, tmp_path: Path) -> None:
    (tmp_path / "spool" / RUN_ID / "Stop.1.0.json").write_text("{}")
    listener.watch.add_run(RUN_ID)
    await listener.hears(WakeupKind.SPOOL, RUN_ID)


async def test_a_run_without_directories_is_no_error(listener: Listener) -> None:
    listener.watch.add_run("7" * 32)
    listener.watch.forget_run("7" * 32)
    listener.watch.forget_run("6" * 32)


async def test_a_registry_that_comes_later_wakes(listener: Listener, tmp_path: Path) -> None:
    registry = tmp_path / "home" / ".claude" / "sessions"
    for _ in range(2):
        listener.watch.add_registry(registry)
    listener.watch.add_registry(tmp_path / "home" / ".other")
    for _ in range(2):
        await listener.quiet()
        registry.mkdir(parents=True)
        (registry / "1.json").write_text("{}")
        await listener.hears(WakeupKind.REGISTRY)
        await listener.quiet()
        (registry / "1.json").write_text('{"status": "busy"}')
        await listener.hears(WakeupKind.REGISTRY)
        await listener.quiet()
        (registry / "1.json").unlink()
        await listener.hears(WakeupKind.REGISTRY)
        shutil.rmtree(tmp_path / "home")


async def test_equal_wakeups_that_wait_are_merged(tmp_path: Path) -> None:
    (tmp_path / "runs" / RUN_ID).mkdir(parents=True)
    (tmp_path / "spool" / RUN_ID).mkdir(parents=True)
    watch = FileWatch(tmp_path)
    watch.add_run(RUN_ID)
    watch.add_run(RUN_ID)
    await watch.start()
    wakeups = watch.wakeups()
    first = {await anext(wakeups) for _ in range(3)}
    assert first == {Wakeup(kind, RUN_ID) for kind in (WakeupKind.SPOOL, WakeupKind.EXIT, WakeupKind.STREAM)}
    for number in range(100):
        (tmp_path / "spool" / RUN_ID / f"Stop.{number}.0.json").write_text("{}")
    (tmp_path / "runs" / RUN_ID / "stream.jsonl").write_text("{}")
    heard = await until_stream(wakeups)
    assert heard.count(Wakeup(WakeupKind.SPOOL, RUN_ID)) < 100
    await watch.stop()


async def until_stream(wakeups: AsyncIterator[Wakeup]) -> list[Wakeup]:
    heard = []
    async with asyncio.timeout(PATIENCE_S):
        async for wakeup in wakeups:
            heard.append(wakeup)
            if wakeup.kind is WakeupKind.STREAM:
                break
    return heard


async def test_a_watch_moves_to_another_event_loop(tmp_path: Path) -> None:
    """A hung orchestrator is replaced by one with an event loop of its own."""
    (tmp_path / "runs" / RUN_ID).mkdir(parents=True)
    (tmp_path / "spool" / RUN_ID).mkdir(parents=True)
    watch = FileWatch(tmp_path)
    await watch.start()
    watch.add_run(RUN_ID)

    async def elsewhere() -> Wakeup:
        await watch.start()
        wakeups = watch.wakeups()
        for _ in range(3):
            await anext(wakeups)
        (tmp_path / "spool" / RUN_ID / "Stop.1.0.json").write_text("{}")
        heard = await anext(wakeups)
        await watch.stop()
        return heard

    assert await asyncio.to_thread(asyncio.run, elsewhere()) == Wakeup(WakeupKind.SPOOL, RUN_ID)
    await watch.stop()


async def test_an_old_event_loop_stops_only_its_own(tmp_path: Path) -> None:
    for maker in MAKERS.values():
        watch = maker(tmp_path)
        await watch.start()
        await asyncio.to_thread(asyncio.run, watch.stop())
        watch.add_registry(tmp_path)
        assert await anext(watch.wakeups()) == Wakeup(WakeupKind.REGISTRY, None)
        await watch.stop()


@pytest.mark.parametrize("maker", MAKERS.values(), ids=MAKERS)
async def test_the_end_of_a_launcher_wakes_when_its_lock_is_free(
    launchers: Launchers, maker: Callable[[Path], FileWatch | PollingWatch]
) -> None:
    watch = maker(launchers.state_directory)
    await watch.start()
    listener = Listener(watch)
    try:
        for number, stop in enumerate((0, 0, 0, 9)):
            run_id, argv = await launchers.prepare(("sh", "-c", "read line"))
            watch.add_run(run_id)
            launcher = launchers.open(run_id, argv)
            await wait_until(listener, run_id, launchers, lock_held=True)
            os.kill(launcher.process.pid, stop) if stop else launcher.terminal.type(b"\n")
            ended_s = time.monotonic()
            await wait_until(listener, run_id, launchers, lock_held=False)
            print(f"round {number}: known {(time.monotonic() - ended_s) * 1000:.1f} ms after the key")
    finally:
        await listener.close()
        await watch.stop()


async def wait_until(listener: Listener, run_id: str, launchers: Launchers, lock_held: bool) -> None:
    """Looks at the run only when the watch says so, as the daemon does."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            await listener.hears(WakeupKind.EXIT, run_id)
            trace = await launchers.pad.trace(run_id)
            if trace.lock_held == lock_held and (trace.agent_alive == lock_held):
                return
