"""What the terminal in memory can do beyond the port."""

import asyncio

import pytest

from ccm_orchestrator.errors import TerminalUnavailable
from ccm_orchestrator.fakes.terminal import FakeTerminal, FakeWindow
from ccm_orchestrator.ports.terminal import Key

RUN = "1f3c9a2b" + "0" * 24


async def test_it_remembers_what_was_opened_typed_and_pressed() -> None:
    terminal = FakeTerminal()
    await terminal.start()
    ref = await terminal.open_window(RUN, ["launcher", "x"])
    await terminal.type_text(ref, "yes\x1b")
    await terminal.press(ref, Key.ENTER)
    await terminal.close_window(ref)
    window = terminal.of_run(RUN)
    assert (window.argv, window.typed, window.pressed) == (("launcher", "x"), ["yes"], [Key.ENTER])


async def test_its_programs_are_scripted() -> None:
    def start(window: FakeWindow) -> None:
        window.output = f"{window.argv[0]} runs"

    terminal = FakeTerminal(on_open=start)
    await terminal.start()
    ref = await terminal.open_window(RUN, ["claude"])
    assert await terminal.capture(ref) == "claude runs"


async def test_it_can_be_unavailable_and_come_back() -> None:
    terminal = FakeTerminal()
    await terminal.start()
    ref = await terminal.open_window(RUN, ["claude"])
    terminal.unavailable = True
    with pytest.raises(TerminalUnavailable):
        await terminal.capture(ref)
    assert not (await terminal.health()).ok
    terminal.unavailable = False
    assert (await terminal.health()).ok and [window.ref for window in await terminal.windows()] == [ref]


async def test_it_can_hang_and_does_nothing_late() -> None:
    terminal = FakeTerminal()
    await terminal.start()
    ref = await terminal.open_window(RUN, ["claude"])
    terminal.hung = True
    typing = asyncio.ensure_future(terminal.type_text(ref, "late"))
    opening = asyncio.ensure_future(terminal.open_window(RUN, ["again"]))
    done, _ = await asyncio.wait([typing, opening], timeout=0.05)
    assert not done
    terminal.hung = False
    for call in (typing, opening):
        with pytest.raises(TerminalUnavailable):
            await call
    assert terminal.of_run(RUN).typed == [] and len(terminal.opened) == 1
