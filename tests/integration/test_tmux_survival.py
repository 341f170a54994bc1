"""The daemon, its control client and the tmux server die or hang; agents and their windows must not care."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil
import pytest

from ccm_orchestrator.adapters.tmux.terminal import TmuxTerminal
from ccm_orchestrator.domain.run import WindowRef
from ccm_orchestrator.errors import TerminalUnavailable, TmuxMissing
from ccm_orchestrator.ports.terminal import Key
from tests.terminals import PATIENCE_S, SOCKET, Tmux, ended, new_run_id, shown, until

pytestmark = pytest.mark.tmux

CHATTER = """
line=$(printf 'x%.0s' 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32)
i=0
while :; do
  i=$((i+1)); echo "$i $line$line$line"
  case $i in *00) printf . >> "$1";; esac
done
"""
"""An agent that prints without pause, and notes every hundredth line (10 kB) in a file: a pty holds much less."""

FROZEN_AFTER_HUNDREDS = 30
"""An agent that still prints this many hundreds of lines after its daemon's death is not frozen: 300 kB."""

KILLS = 12


def control_clients(tmux: Tmux) -> list[int]:
    listing = tmux.ask("list-clients", "-F", "#{client_control_mode} #{client_pid}")
    return [int(line.split()[1]) for line in listing.splitlines() if line.startswith("1 ")]


class Chatterers:
    """Agents that print for ever, and how far they got."""

    def __init__(self, directory: Path, count: int) -> None:
        self.files = [directory / f"progress-{number}" for number in range(count)]

    async def open(self, terminal: TmuxTerminal) -> None:
        for file in self.files:
            await terminal.open_window(new_run_id(), ["/bin/sh", "-c", CHATTER, "sh", str(file)])

    async def go_on(self) -> None:
        """Waits until each has printed a lot from now on; fails if one is frozen."""
        goals = {file: self._size(file) + FROZEN_AFTER_HUNDREDS for file in self.files}

        async def all_did() -> bool:
            return all(self._size(file) >= goal for file, goal in goals.items())

        await until(all_did, "every agent goes on printing")

    @staticmethod
    def _size(file: Path) -> int:
        return file.stat().st_size if file.exists() else 0


async def control_client(tmux: Tmux, *flags: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *("tmux", "-L", SOCKET, "-C", "attach", "-t", "=ccm", *flags),
        env=tmux.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )


@asynccontextmanager
async def capturing_daemon(tmux: Tmux) -> AsyncIterator[asyncio.subprocess.Process]:
    script = Path(__file__).with_name("capturing_daemon.py")
    daemon = await asyncio.create_subprocess_exec(
        sys.executable, str(script), str(tmux.directory / "tmux.conf"), str(tmux.directory), stdout=subprocess.PIPE
    )
    assert daemon.stdout is not None
    try:
        said = await asyncio.wait_for(daemon.stdout.readline(), PATIENCE_S)
        assert said == b"looking\n", "the daemon captures"
        yield daemon
    finally:
        if daemon.returncode is None:
            daemon.kill()
        await daemon.wait()


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_agents_go_on_when_the_daemon_is_killed_in_mid_capture(tmux: Tmux) -> None:
    starter = tmux.terminal()
    await starter.start()
    agents = Chatterers(tmux.directory, 4)
    await agents.open(starter)
    await starter.stop()
    chance = random.Random(5)
    for _ in range(KILLS):
        async with capturing_daemon(tmux) as daemon:
            await asyncio.sleep(chance.uniform(0.0, 0.15))
            daemon.kill()
            await daemon.wait()
            await agents.go_on()

        async def no_client() -> bool:
            return control_clients(tmux) == []

        await until(no_client, "the control client ended with its daemon")


async def test_a_client_that_an_earlier_daemon_left_behind_is_killed_at_the_start(tmux: Tmux) -> None:
    first = tmux.terminal()
    await first.start()
    await first.stop()
    left_over = await control_client(tmux, "-f", "no-output,ignore-size")
    persons = await control_client(tmux)
    try:

        async def both_attached() -> bool:
            return set(control_clients(tmux)) == {left_over.pid, persons.pid}

        await until(both_attached, "both clients are attached")
        second = tmux.terminal()
        await second.start()
        assert await asyncio.wait_for(left_over.wait(), PATIENCE_S) == -signal.SIGKILL
        assert persons.returncode is None, "a person's own control-mode terminal is left alone"
        await second.windows()
    finally:
        for client in (left_over, persons):
            with suppress(ProcessLookupError):
                client.kill()
            await client.wait()


async def test_starting_again_keeps_our_own_client(tmux: Tmux, terminal: TmuxTerminal) -> None:
    before = control_clients(tmux)
    await terminal.start()
    assert control_clients(tmux) == before and len(before) == 1


async def test_a_lost_client_is_replaced_with_the_next_request(tmux: Tmux, terminal: TmuxTerminal) -> None:
    ref = await terminal.open_window(new_run_id(), ["/bin/sh", "-c", "echo READY; exec cat"])
    (client,) = control_clients(tmux)
    os.kill(client, signal.SIGKILL)

    async def answers_again() -> bool:
        try:
            return "READY" in await terminal.capture(ref)
        except TerminalUnavailable:
            return False

    await until(answers_again, "a new client")
    assert control_clients(tmux) != [client]


async def test_stopping_ends_the_client_and_nothing_else(tmux: Tmux, terminal: TmuxTerminal) -> None:
    ref = await terminal.open_window(new_run_id(), ["/bin/sh", "-c", "echo READY; exec cat"])
    (client,) = control_clients(tmux)
    await terminal.stop()
    assert not psutil.pid_exists(client)
    assert "READY" in tmux.ask("capture-pane", "-p", "-t", ref.window_id)


async def test_a_killed_server_is_unavailable_until_the_next_start(tmux: Tmux, terminal: TmuxTerminal) -> None:
    await terminal.open_window(new_run_id(), ["/bin/cat"])
    server = tmux.server()
    server.kill()
    await ended(server)
    for _ in range(2):
        with pytest.raises(TerminalUnavailable):
            await terminal.windows()
    assert not (await terminal.health()).ok
    await terminal.start()
    health = await terminal.health()
    assert health.ok and health.windows == 0 and health.server_pid not in (None, server.pid)


@asynccontextmanager
async def stopped(server: psutil.Process) -> AsyncIterator[None]:
    server.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("control_mode", [True, False])
async def test_a_hung_server_makes_calls_end_in_time_and_loses_nothing(tmux: Tmux, control_mode: bool) -> None:
    terminal = tmux.terminal(timeout_s=1.0, control_mode=control_mode)
    await terminal.start()
    run_id = new_run_id()
    ref = await terminal.open_window(run_id, ["/bin/sh", "-c", "stty -icanon -echo; echo READY; exec cat"])
    await shown(terminal, ref, "READY")
    async with stopped(tmux.server()):
        for call in (terminal.windows, lambda: terminal.capture(ref), lambda: terminal.type_text(ref, "too late")):
            began = time.monotonic()
            with pytest.raises(TerminalUnavailable, match="did not answer within 1 s"):
                await call()
            assert time.monotonic() - began < 4
        health = await terminal.health()
        assert not health.ok and "did not answer" in health.detail
        with pytest.raises(TerminalUnavailable):
            await tmux.terminal(timeout_s=1.0, control_mode=control_mode).start()
        await asyncio.sleep(2.5)  # sleeps because the deadline of what was typed must pass

    async def back() -> bool:
        return (await terminal.health()).ok

    await until(back, "the server answers again")
    assert [window.ref for window in await terminal.windows() if window.run_id] == [ref]
    await terminal.type_text(ref, "in time")
    await terminal.press(ref, Key.ENTER)
    await shown(terminal, ref, "in time")
    assert (await terminal.capture(ref)).split("\n")[:2] == ["READY", "in time"], "nothing was typed late"


async def test_many_calls_at_once_share_one_hung_server(tmux: Tmux) -> None:
    terminal = tmux.terminal(timeout_s=1.0)
    await terminal.start()
    ref = await terminal.open_window(new_run_id(), ["/bin/cat"])
    async with stopped(tmux.server()):
        began = time.monotonic()
        results = await asyncio.gather(*(terminal.capture(ref) for _ in range(3000)), return_exceptions=True)
        assert time.monotonic() - began < 15
        assert all(isinstance(result, TerminalUnavailable) for result in results)


async def test_a_session_that_lost_its_last_window_comes_back_by_itself(tmux: Tmux) -> None:
    for control_mode in (True, False):
        terminal = tmux.terminal(control_mode=control_mode)
        await terminal.start()
        tmux.ask("kill-session", "-t", "=ccm")

        async def opens(terminal: TmuxTerminal = terminal) -> bool:
            try:
                return (await terminal.open_window(new_run_id(), ["/bin/cat"])).window_id.startswith("@")
            except TerminalUnavailable:  # the old client's end crossed the request
                return False

        await until(opens, "a window in a new session")


async def test_each_event_loop_may_ask(tmux: Tmux, terminal: TmuxTerminal) -> None:
    ref = await terminal.open_window(new_run_id(), ["/bin/sh", "-c", "echo READY; exec cat"])
    await shown(terminal, ref, "READY")

    def elsewhere() -> str:
        return asyncio.run(terminal.capture(ref))

    screens = await asyncio.gather(*(asyncio.to_thread(elsewhere) for _ in range(8)))
    assert all("READY" in screen for screen in screens)


async def test_a_cancelled_call_harms_no_other(tmux: Tmux, terminal: TmuxTerminal) -> None:
    ref = await terminal.open_window(new_run_id(), ["/bin/sh", "-c", "echo READY; exec cat"])
    await shown(terminal, ref, "READY")
    calls = [asyncio.ensure_future(terminal.capture(ref)) for _ in range(40)]
    await asyncio.sleep(0)
    for call in calls[::2]:
        call.cancel()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert all("READY" in str(result) for result in results[1::2])
    assert all(isinstance(result, asyncio.CancelledError) or "READY" in str(result) for result in results[::2])


async def test_no_tmux_is_said_so(tmux: Tmux, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmux.directory))
    with pytest.raises(TmuxMissing, match="install"):
        await tmux.terminal().start()


@pytest.mark.parametrize(("says", "message"), [("tmux 2.9a", "3.2 or newer"), ("", "cannot be run")])
async def test_a_tmux_that_cannot_serve_is_said_so(
    tmux: Tmux, monkeypatch: pytest.MonkeyPatch, says: str, message: str
) -> None:
    impostor = tmux.directory / "tmux"
    impostor.write_text(f"#!/bin/sh\n[ -n '{says}' ] && echo '{says}'\n")
    impostor.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmux.directory}:/usr/bin:/bin")
    with pytest.raises(TmuxMissing, match=message):
        await tmux.terminal().start()


async def test_no_terminal_before_the_start(tmux: Tmux) -> None:
    terminal = tmux.terminal()
    with pytest.raises(TerminalUnavailable, match="not started"):
        await terminal.windows()
    with pytest.raises(TerminalUnavailable, match="not started"):
        await terminal.capture(WindowRef(1, 1, "@0"))
    assert (await terminal.health()).detail == "the terminal was not started"


async def test_only_clients_on_our_socket_are_taken_for_left_over(tmux: Tmux, terminal: TmuxTerminal) -> None:
    other = Tmux()
    try:
        await other.terminal().start()
        theirs = control_clients(other)
        (ours,) = control_clients(tmux)
        await tmux.terminal().start()
        assert not psutil.pid_exists(ours), "what an earlier terminal on this socket left is ended"
        assert control_clients(other) == theirs and len(theirs) == 1
        await terminal.windows()
    finally:
        await other.close()


async def test_a_server_survives_many_attempts_to_reach_it_while_it_hangs(tmux: Tmux) -> None:
    terminal = tmux.terminal(timeout_s=0.3)
    await terminal.start()
    server = tmux.server()
    async with stopped(server):
        for _ in range(8):
            with pytest.raises(TerminalUnavailable):
                await terminal.windows()

    async def back() -> bool:
        return (await terminal.health()).ok

    await until(back, "the server answers again")
    assert tmux.server() == server, "and is the same"
