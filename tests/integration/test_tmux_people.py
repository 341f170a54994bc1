"""People look, type, resize, rename, split, move and close; the daemon keeps finding its agents."""

import pytest

from ccm_orchestrator.adapters.tmux.terminal import TmuxTerminal
from ccm_orchestrator.domain.run import WindowRef
from ccm_orchestrator.errors import WindowGone
from ccm_orchestrator.ports.terminal import Key
from tests.people import Person
from tests.terminals import Tmux, new_run_id, shown, until

pytestmark = pytest.mark.tmux


def echo(greeting: str) -> list[str]:
    return ["/bin/sh", "-c", f"stty -icanon -echo; echo {greeting}; exec cat"]


async def opened(terminal: TmuxTerminal, greeting: str = "READY") -> tuple[str, WindowRef]:
    run_id = new_run_id()
    ref = await terminal.open_window(run_id, echo(greeting))
    await shown(terminal, ref, greeting)
    return run_id, ref


async def typed_arrives(terminal: TmuxTerminal, ref: WindowRef, text: str) -> None:
    await terminal.type_text(ref, text)
    await terminal.press(ref, Key.ENTER)
    await shown(terminal, ref, text)


def looks_at(tmux: Tmux, person: Person) -> str:
    clients = tmux.ask("list-clients", "-F", "#{client_pid} #{window_id}").splitlines()
    return dict(line.split() for line in clients)[str(person.pid)]


async def test_each_visitor_has_a_view_of_his_own(tmux: Tmux, terminal: TmuxTerminal) -> None:
    _, first = await opened(terminal, "FIRST")
    _, second = await opened(terminal, "SECOND")
    async with (
        Person(terminal.attach_argv(first)) as anna,
        Person(terminal.attach_argv(second)) as bert,
        Person(terminal.attach_argv(None)) as carl,
    ):
        await anna.sees("FIRST")
        await bert.sees("SECOND")
        await carl.sees("every agent has a window of its own")
        carl.press(b"\x02n")
        await carl.sees("FIRST")
        assert looks_at(tmux, anna) == looks_at(tmux, carl) == first.window_id
        assert looks_at(tmux, bert) == second.window_id
        anna.press(b"hello from anna\r")
        await shown(terminal, first, "hello from anna")
        assert await anna.leaves() == await bert.leaves() == await carl.leaves() == 0

    async def only_ours() -> bool:
        return tmux.ask("list-sessions", "-F", "#S") == "ccm"

    await until(only_ours, "views end when they are left")
    await typed_arrives(terminal, first, "still there")


async def test_the_status_line_names_the_product_and_our_ids_only(tmux: Tmux, terminal: TmuxTerminal) -> None:
    run_id, ref = await opened(terminal)
    tmux.ask("rename-window", "-t", ref.window_id, "##(touch pwned)")
    async with Person(terminal.attach_argv(ref)) as person:
        await person.sees("ccm-orchestrator")
        await person.sees(f"ccm-{run_id[:8]}")
        assert b"touch pwned" not in person.seen


async def test_a_small_terminal_shrinks_only_what_it_shows_and_only_while_it_does(
    tmux: Tmux, terminal: TmuxTerminal
) -> None:
    _, watched = await opened(terminal)
    _, other = await opened(terminal)

    def size(ref: WindowRef) -> str:
        return tmux.ask("display-message", "-p", "-t", ref.window_id, "#{window_width}x#{window_height}")

    async with Person(terminal.attach_argv(watched), columns=40, rows=10) as person:

        async def shrunk() -> bool:
            return size(watched) == "40x9"

        await until(shrunk, "the window fits the terminal")
        person.resize(60, 20)

        async def grown() -> bool:
            return size(watched) == "60x19"

        await until(grown, "the window follows the terminal")
        await terminal.windows()
        assert size(watched) == "60x19", "it is left alone while somebody looks"
        assert size(other) == "200x50"
        await typed_arrives(terminal, watched, "small but whole")
        await person.leaves()

    async def restored() -> bool:
        await terminal.windows()
        return size(watched) == "200x50"

    await until(restored, "the size comes back")
    async with Person(terminal.attach_argv(watched), columns=70, rows=30):

        async def fits() -> bool:
            return size(watched) == "70x29"

        await until(fits, "and the next visitor is served as well")


async def test_renamed_and_moved_windows_are_found(tmux: Tmux, terminal: TmuxTerminal) -> None:
    run_id, ref = await opened(terminal)
    other_id, other = await opened(terminal)
    tmux.ask("rename-window", "-t", ref.window_id, f"ccm-{other_id[:8]}")
    tmux.ask("move-window", "-s", ref.window_id, "-t", "=ccm:77")
    tmux.ask("swap-window", "-s", ref.window_id, "-t", other.window_id)
    tmux.ask("new-session", "-d", "-s", "elsewhere")
    tmux.ask("move-window", "-s", ref.window_id, "-t", "=elsewhere:")
    await typed_arrives(terminal, ref, "for the first")
    assert "for the first" not in await terminal.capture(other)
    assert {window.run_id: window.ref for window in await terminal.windows() if window.run_id} == {
        run_id: ref,
        other_id: other,
    }


async def test_a_split_window_keeps_its_agent_apart_from_the_persons_pane(tmux: Tmux, terminal: TmuxTerminal) -> None:
    _, ref = await opened(terminal)
    (agent,) = (window for window in await terminal.windows() if window.run_id)
    theirs = tmux.ask("split-window", "-b", "-t", ref.window_id, "-P", "-F", "#{pane_id}", *echo("MINE"))
    fresh = tmux.terminal()  # a daemon that was not there when the window was opened
    await fresh.start()
    for each in (terminal, fresh):
        await typed_arrives(each, ref, "for the agent")
        (listed,) = (window for window in await each.windows() if window.run_id)
        assert (listed.ref, listed.pane_pid) == (ref, agent.pane_pid)
    assert "for the agent" not in tmux.ask("capture-pane", "-p", "-t", theirs)
    await fresh.close_window(ref)
    assert "MINE" in tmux.ask("capture-pane", "-p", "-t", theirs)
    assert [window.run_id for window in await fresh.windows() if window.ref == ref] == [None]
    with pytest.raises(WindowGone):
        await fresh.type_text(ref, "nobody is there")


async def test_an_agent_that_was_moved_out_of_its_window_is_still_reached(tmux: Tmux, terminal: TmuxTerminal) -> None:
    run_id, ref = await opened(terminal)
    tmux.ask("split-window", "-t", ref.window_id, *echo("MINE"))
    tmux.ask("break-pane", "-d", "-s", f"{ref.window_id}.0")
    await typed_arrives(terminal, ref, "where are you")
    (moved,) = (window.ref for window in await terminal.windows() if window.run_id == run_id)
    assert moved != ref
    await typed_arrives(terminal, moved, "there you are")
    await typed_arrives(terminal, ref, "by the old address, too")


async def test_keys_reach_the_agent_while_somebody_reads_back(tmux: Tmux, terminal: TmuxTerminal) -> None:
    _, ref = await opened(terminal)
    tmux.ask("copy-mode", "-t", ref.window_id)
    assert tmux.ask("display-message", "-p", "-t", ref.window_id, "#{pane_in_mode}") == "1"
    await typed_arrives(terminal, ref, "q is not for copy mode")


@pytest.mark.parametrize("close", ["kill-window", "kill-pane", "respawn-window"])
async def test_what_a_person_closes_is_gone(tmux: Tmux, terminal: TmuxTerminal, close: str) -> None:
    run_id, ref = await opened(terminal)
    other_id, other = await opened(terminal)
    if close == "respawn-window":
        (agent,) = (window for window in await terminal.windows() if window.run_id == run_id)
        tmux.ask(close, "-k", "-t", ref.window_id, *echo("AGAIN"))
        (listed,) = (window for window in await terminal.windows() if window.run_id == run_id)
        assert listed.pane_pid != agent.pane_pid, "the pid tells that the launcher is no longer there"
        return
    tmux.ask(close, "-t", ref.window_id)
    with pytest.raises(WindowGone):
        await terminal.capture(ref)
    await terminal.close_window(ref)
    assert [window.run_id for window in await terminal.windows() if window.run_id] == [other_id]
    await typed_arrives(terminal, other, "untouched")


async def test_looking_starts_nothing(tmux: Tmux) -> None:
    terminal = tmux.terminal()
    async with Person(terminal.attach_argv(None)) as person:
        assert await person.ends() == 1
        await person.sees("error connecting")
    await terminal.start()
    stranger = tmux.terminal(session="cc")
    async with Person(stranger.attach_argv(None)) as person:
        assert await person.ends() == 1
        await person.sees("can't find session: cc")
    assert tmux.ask("list-sessions", "-F", "#S") == "ccm"


async def test_three_hundred_windows_are_listed_and_seen(tmux: Tmux) -> None:
    for control_mode in (True, False):
        terminal = tmux.terminal(timeout_s=30, control_mode=control_mode)
        await terminal.start()
        refs = {}
        for _ in range(150):
            run_id = new_run_id()
            refs[run_id] = await terminal.open_window(run_id, ["/bin/cat"])
        listed = {window.run_id: window.ref for window in await terminal.windows()}
        assert refs.items() <= listed.items()
    assert len(listed) == 301
    assert (await terminal.health()).windows == 300
