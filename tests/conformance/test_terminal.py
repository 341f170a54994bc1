"""What every terminal keeps: the fake, tmux through control mode, tmux through one process per question."""

import os
import signal
from collections.abc import AsyncIterator
from typing import Protocol

import pytest

from ccm_orchestrator.domain.run import WindowRef
from ccm_orchestrator.errors import TerminalError, TerminalUnavailable, WindowGone
from ccm_orchestrator.fakes.terminal import FakeTerminal, FakeWindow
from ccm_orchestrator.ports.terminal import Key, Terminal, WindowInfo
from tests.terminals import Tmux, ended, new_run_id, shown, until

ECHO = ("/bin/sh", "-c", "stty -icanon -echo; echo READY; exec cat")
"""Says that it is there, and shows what is typed."""


class Stage(Protocol):
    """The terminal, and what a test does behind its back."""

    terminal: Terminal

    async def end_program(self, run_id: str) -> None: ...

    async def lose_server(self) -> None: ...

    async def open_by_person(self) -> WindowRef: ...


class FakeStage:
    def __init__(self) -> None:
        self.fake = FakeTerminal(on_open=self._run)
        self.terminal: Terminal = self.fake

    def _run(self, window: FakeWindow) -> None:
        window.output = "READY\n"

    async def end_program(self, run_id: str) -> None:
        self.fake.end(run_id)

    async def lose_server(self) -> None:
        self.fake.restart_server()
        self.fake.unavailable = True
        start = self.fake.start

        async def start_again() -> None:
            self.fake.unavailable = False
            await start()

        self.fake.start = start_again  # type: ignore[method-assign]

    async def open_by_person(self) -> WindowRef:
        return self.fake.open_by_person("notes")


class TmuxStage:
    def __init__(self, tmux: Tmux, control_mode: bool) -> None:
        self.tmux = tmux
        self.terminal: Terminal = tmux.terminal(control_mode=control_mode)

    async def end_program(self, run_id: str) -> None:
        (window,) = [window for window in await self.terminal.windows() if window.run_id == run_id]
        os.kill(window.pane_pid, signal.SIGKILL)

    async def lose_server(self) -> None:
        server = self.tmux.server()
        server.kill()
        await ended(server)

    async def open_by_person(self) -> WindowRef:
        identity = self.tmux.ask("new-window", "-d", "-P", "-F", "#{pid} #{start_time} #{window_id}", "-n", "notes")
        pid, start, window_id = identity.split()
        return WindowRef(int(pid), int(start), window_id)


@pytest.fixture(
    params=["fake", pytest.param("control", marks=pytest.mark.tmux), pytest.param("exec", marks=pytest.mark.tmux)]
)
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    if request.param == "fake":
        stage: Stage = FakeStage()
        await stage.terminal.start()
        yield stage
    else:
        tmux = Tmux()
        stage = TmuxStage(tmux, request.param == "control")
        await stage.terminal.start()
        yield stage
        await tmux.close()


async def agents(terminal: Terminal) -> dict[str, WindowInfo]:
    return {window.run_id: window for window in await terminal.windows() if window.run_id}


async def test_a_window_is_listed_with_its_run_and_its_name(stage: Stage) -> None:
    run_id = new_run_id()
    ref = await stage.terminal.open_window(run_id, ECHO)
    window = (await agents(stage.terminal))[run_id]
    assert (window.ref, window.name, window.dead) == (ref, f"ccm-{run_id[:8]}", False)
    assert window.pane_pid > 0


async def test_two_windows_are_two_and_one_run_may_have_both(stage: Stage) -> None:
    run_id, other = new_run_id(), new_run_id()
    refs = [await stage.terminal.open_window(run, ECHO) for run in (run_id, other, run_id)]
    listed = [window for window in await stage.terminal.windows() if window.run_id]
    assert {window.ref for window in listed} == set(refs) and len(set(refs)) == 3
    assert sorted(window.run_id or "" for window in listed) == sorted([run_id, other, run_id])


async def test_the_screen_shows_what_the_program_wrote_and_what_was_typed(stage: Stage) -> None:
    ref = await stage.terminal.open_window(new_run_id(), ECHO)
    await shown(stage.terminal, ref, "READY")
    await stage.terminal.type_text(ref, 'Hüllo; it\'s "quoted" $HOME #{pid} 🙂;')
    await shown(stage.terminal, ref, 'Hüllo; it\'s "quoted" $HOME #{pid} 🙂;')


async def test_typing_submits_nothing_and_drops_control_characters(stage: Stage) -> None:
    ref = await stage.terminal.open_window(new_run_id(), ECHO)
    await shown(stage.terminal, ref, "READY")
    await stage.terminal.type_text(ref, "on\x1b[201~e\x03\x00\r t\x7fwo\ud800")
    await stage.terminal.press(ref, Key.ENTER)
    await stage.terminal.type_text(ref, "three\nfour")
    await shown(stage.terminal, ref, "four")
    assert (await stage.terminal.capture(ref)).split() == ["READY", "on[201~e", "two", "three", "four"]


async def test_nothing_typed_is_nothing(stage: Stage) -> None:
    ref = await stage.terminal.open_window(new_run_id(), ECHO)
    await stage.terminal.type_text(ref, "")
    await stage.terminal.type_text(ref, "\x00\x1b")
    await stage.terminal.type_text(ref, "-l --")
    await shown(stage.terminal, ref, "-l --")


async def test_history_comes_before_the_screen(stage: Stage) -> None:
    count = ("/bin/sh", "-c", "i=0; while [ $i -lt 120 ]; do i=$((i+1)); echo line-$i-; done; exec cat")
    ref = await stage.terminal.open_window(new_run_id(), count)
    if isinstance(stage, FakeStage):
        stage.fake.opened[-1].output = "".join(f"line-{number}-\n" for number in range(1, 121))
    await shown(stage.terminal, ref, "line-120-")
    assert "line-1-" not in await stage.terminal.capture(ref)
    assert "line-1-" in await stage.terminal.capture(ref, history_lines=1000)


async def test_a_window_goes_with_its_program(stage: Stage) -> None:
    run_id = new_run_id()
    ref = await stage.terminal.open_window(run_id, ECHO)
    await stage.end_program(run_id)

    async def gone() -> bool:
        return run_id not in await agents(stage.terminal)

    await until(gone, "the window closes")
    with pytest.raises(WindowGone):
        await stage.terminal.capture(ref)
    with pytest.raises(WindowGone):
        await stage.terminal.type_text(ref, "too late")
    with pytest.raises(WindowGone):
        await stage.terminal.press(ref, Key.ENTER)
    await stage.terminal.close_window(ref)


async def test_closing_closes_one_window_once(stage: Stage) -> None:
    run_id, other = new_run_id(), new_run_id()
    ref = await stage.terminal.open_window(run_id, ECHO)
    await stage.terminal.open_window(other, ECHO)
    await stage.terminal.close_window(ref)
    await stage.terminal.close_window(ref)
    assert set(await agents(stage.terminal)) == {other}


async def test_windows_of_a_person_are_nobodys_run(stage: Stage) -> None:
    theirs = await stage.open_by_person()
    assert await agents(stage.terminal) == {}
    assert [window.run_id for window in await stage.terminal.windows() if window.ref == theirs] == [None]


async def test_ids_of_an_earlier_server_mean_nothing(stage: Stage) -> None:
    before = await stage.terminal.open_window(new_run_id(), ECHO)
    await stage.lose_server()
    with pytest.raises(TerminalUnavailable):
        await stage.terminal.windows()
    health = await stage.terminal.health()
    assert not health.ok and health.detail and health.server_pid is None
    await stage.terminal.start()
    run_id = new_run_id()
    after = await stage.terminal.open_window(run_id, ECHO)
    assert after.window_id == before.window_id, "the trap is set"
    for action in (
        stage.terminal.capture(before),
        stage.terminal.type_text(before, "x"),
        stage.terminal.press(before, Key.ENTER),
    ):
        with pytest.raises(WindowGone):
            await action
    await stage.terminal.close_window(before)
    assert set(await agents(stage.terminal)) == {run_id}


async def test_health_counts_agents(stage: Stage) -> None:
    await stage.terminal.open_window(new_run_id(), ECHO)
    await stage.open_by_person()
    health = await stage.terminal.health()
    assert (health.ok, health.windows, health.detail) == (True, 1, "")
    assert health.server_pid and health.version


async def test_starting_twice_and_stopping_twice_is_fine_and_windows_live_on(stage: Stage) -> None:
    run_id = new_run_id()
    ref = await stage.terminal.open_window(run_id, ECHO)
    await stage.terminal.start()
    await stage.terminal.stop()
    await stage.terminal.stop()
    with pytest.raises(TerminalUnavailable):
        await stage.terminal.windows()
    await stage.terminal.start()
    assert (await agents(stage.terminal))[run_id].ref == ref
    await shown(stage.terminal, ref, "READY")


@pytest.mark.parametrize("run_id", ["", "x" * 32, "A" * 32, "1f3c" * 9, "#(touch pwned)", "../" * 10 + "ab"])
async def test_only_our_own_ids_open_windows(stage: Stage, run_id: str) -> None:
    with pytest.raises(TerminalError, match="expected a run id"):
        await stage.terminal.open_window(run_id, ECHO)
    assert await agents(stage.terminal) == {}
