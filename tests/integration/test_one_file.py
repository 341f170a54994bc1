"""The watch over one file: what it costs the event loop, and that nothing of it stays."""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path

import pytest

from ccm_orchestrator.adapters.watch.one_file import watched_file

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is no inotify")


async def test_the_event_loop_does_not_wait_for_the_kernel_to_give_a_watch_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inotify_class = pytest.importorskip("asyncinotify").Inotify
    closed_by, close = list[threading.Thread](), inotify_class.close

    def closing(inotify: object) -> None:
        close(inotify)
        closed_by.append(threading.current_thread())

    monkeypatch.setattr(inotify_class, "close", closing)
    (tmp_path / "log").touch()
    before = descriptors()
    for _ in range(3):
        news = asyncio.Event()
        with watched_file(tmp_path / "log", news.set) as told:
            assert told
            (tmp_path / "log").write_text("more")
            await asyncio.wait_for(news.wait(), 10)
    async with asyncio.timeout(10):
        while len(closed_by) < 3:  # noqa: ASYNC110 - a thread rings no bell
            await asyncio.sleep(0.005)
    assert threading.current_thread() not in closed_by and descriptors() == before


async def test_a_file_that_is_not_there_is_not_watched(tmp_path: Path) -> None:
    before = descriptors()
    with watched_file(tmp_path / "log", lambda: None) as told:
        assert not told
    assert descriptors() == before


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
