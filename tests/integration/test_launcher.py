"""The launcher as a process: it starts one agent at most, and tells the whole truth about its end."""

import asyncio
import json
import os
import signal

import pytest

from ccm_orchestrator.ports.launching import Ticket
from tests.launching import ENVIRONMENT, Launchers, eventually, gone


async def test_the_end_of_an_agent_is_recorded(launchers: Launchers) -> None:
    launcher = await launchers.run_script("echo hello; exit 3")
    assert {key: launcher.exit[key] for key in ("exit_code", "signal", "reason", "swept")} == {
        "exit_code": 3,
        "signal": None,
        "reason": "exited",
        "swept": [],
    }
    assert "hello" in launcher.terminal.screen
    trace = await launchers.pad.trace(launcher.directory.name)
    assert (trace.lock_held, trace.ticket, trace.agent_alive) == (False, Ticket.REDEEMED, False)
    assert trace.exit is not None
    assert trace.exit.max_rss_bytes


async def test_an_agent_that_was_killed_is_recorded_as_signalled(launchers: Launchers) -> None:
    launcher = await launchers.start("sleep", "1000")
    os.kill(launcher.agent_pid, signal.SIGKILL)
    assert (launcher.exit["exit_code"], launcher.exit["signal"], launcher.exit["reason"]) == (None, 9, "signalled")


async def test_of_forty_launchers_of_one_run_one_starts_the_agent(launchers: Launchers) -> None:
    run_id, argv = await launchers.prepare(("sh", "-c", "echo started >> agents; exec sleep 1000"))
    crowd = [launchers.open(run_id, argv) for _ in range(40)]
    eventually(lambda: sum(launcher.process.poll() is not None for launcher in crowd) == 39, "39 launchers gave up")
    assert sorted(str(launcher.process.returncode) for launcher in crowd) == ["73"] * 39 + ["None"]
    await asyncio.to_thread(eventually, (launchers.state_directory / "agents").exists, "the agent started")
    assert (launchers.state_directory / "agents").read_text() == "started\n"
    assert (await launchers.pad.trace(run_id)).lock_held


async def test_a_run_is_never_started_twice_one_after_the_other(launchers: Launchers) -> None:
    run_id, argv = await launchers.prepare(("sh", "-c", "echo started >> agents"))
    assert [launchers.open(run_id, argv).wait() for _ in range(2)] == [0, 74]
    assert (launchers.state_directory / "agents").read_text() == "started\n"


async def test_a_revoked_ticket_starts_nothing(launchers: Launchers) -> None:
    run_id, argv = await launchers.prepare(("touch", "agents"))
    assert await launchers.pad.revoke(run_id) is Ticket.REVOKED
    launcher = launchers.open(run_id, argv)
    assert launcher.wait() == 74
    assert "no valid ticket" in launcher.terminal.screen
    assert not (launchers.state_directory / "agents").exists()


async def test_an_unreadable_launch_file_is_refused(launchers: Launchers) -> None:
    run_id, argv = await launchers.prepare(("touch", "agents"))
    launch = launchers.pad.directory(run_id) / "launch.json"
    for content in ("", "{", "[]", "{} {}", '{"version": 2}', '{"version": 1, "run_id": "x", "cwd": "/"}', "[" * 99999):
        launch.write_text(content)
        launcher = launchers.open(run_id, argv)
        assert launcher.wait() == 78
        assert "launch.json cannot be used" in launcher.terminal.screen
    assert (await launchers.pad.trace(run_id)).ticket is Ticket.ISSUED


async def test_an_agent_inherits_nothing(launchers: Launchers) -> None:
    run_id, argv = await launchers.prepare(
        ("sh", "-c", "env > env; ls -l /proc/self/fd > fds; cat /proc/self/status > status")
    )
    blocked = ["sh", "-c", 'trap "" TERM INT QUIT PIPE; exec "$@" 7</dev/null', "sh", *argv]
    launcher = launchers.open(run_id, blocked, {**ENVIRONMENT, "CLAUDECODE": "1", "SECRET": "x"})
    assert launcher.exit["exit_code"] == 0
    names = {line.partition("=")[0] for line in (launchers.state_directory / "env").read_text().splitlines()}
    assert names == {*ENVIRONMENT, "CCM_RUN_ID", "PWD"}
    descriptors = [line.split()[-3] for line in (launchers.state_directory / "fds").read_text().splitlines()[1:]]
    assert set(descriptors) == {"0", "1", "2", "3"}, "3 is the directory that ls reads"
    status = dict(line.split(":\t", 1) for line in (launchers.state_directory / "status").read_text().splitlines())
    of_libc = 0b11 << 31  # signals 32 and 33 belong to the C library, and nobody else can reset them
    assert {int(status[name], 16) & ~of_libc for name in ("SigBlk", "SigIgn", "SigCgt")} == {0}


@pytest.mark.parametrize(
    ("argv", "cwd", "sentence"),
    [
        (("true",), "missing", "the working directory"),
        (("no-such-program",), ".", "the program no-such-program was not found"),
        (("./missing/program",), ".", "was not found"),
        (("./broken",), ".", "./broken cannot be executed"),
        (("true", "x" * 3_000_000), ".", "too long"),
        (("true", "a\0b"), ".", "NUL"),
    ],
)
async def test_an_agent_that_cannot_be_started_is_explained(
    launchers: Launchers, argv: tuple[str, ...], cwd: str, sentence: str
) -> None:
    broken = launchers.state_directory / "broken"
    broken.write_text("#!/no/such/interpreter\n")
    broken.chmod(0o755)
    launcher = await launchers.start(*argv, cwd=launchers.state_directory / cwd)
    assert launcher.exit["reason"] == "start_failed"
    assert sentence in launcher.exit["detail"]
    assert sentence in launcher.terminal.screen


async def test_a_wish_to_stop_before_the_start_is_obeyed(launchers: Launchers) -> None:
    run_id, argv = await launchers.prepare(("touch", "agents"))
    (launchers.pad.directory(run_id) / "stop").touch()
    assert launchers.open(run_id, argv).exit["reason"] == "terminated"
    assert not (launchers.state_directory / "agents").exists()


async def test_odd_arguments_and_variables_arrive_whole(launchers: Launchers) -> None:
    odd = ["-n", "a b", "", "é🙂", "\n\t\x1b[31m", "raw \udcff byte", "x" * 100_000]
    argv = ("python3", "-c", "import sys, os; open('seen', 'w').write(ascii([sys.argv[1:], os.environ['ODD']]))", *odd)
    launcher = await launchers.start(*argv, env={**ENVIRONMENT, "ODD": "é\udcfe\n="})
    assert launcher.exit["exit_code"] == 0
    assert (launchers.state_directory / "seen").read_text() == ascii([odd, "é\udcfe\n="])


async def test_the_start_record_is_there_before_the_agent_can_act(launchers: Launchers) -> None:
    launcher = await launchers.run_script('cat "$RUN/run.json"; exit 0')
    assert launcher.exit["exit_code"] == 0
    record = json.loads(launcher.terminal.screen)
    assert record == launcher.started
    assert record["agent"]["pgid"] == record["agent"]["pid"] != record["launcher"]["pid"]


async def test_keys_reach_the_agent(launchers: Launchers) -> None:
    launcher = await launchers.run_script(
        'trap "echo interrupted; exit 5" INT; echo ready; while :; do read line; done'
    )
    eventually(lambda: "ready" in launcher.terminal.screen, "the agent is ready")
    launcher.terminal.type(b"\x03")
    assert launcher.exit["exit_code"] == 5
    assert "interrupted" in launcher.terminal.screen


async def test_an_agent_that_a_key_suspends_goes_on(launchers: Launchers) -> None:
    launcher = await launchers.run_script("echo ready; read line; echo got $line; exit 6")
    eventually(lambda: "ready" in launcher.terminal.screen, "the agent is ready")
    launcher.terminal.type(b"\x1a")
    launcher.terminal.type(b"text\n")
    assert launcher.exit["exit_code"] == 6
    assert "got text" in launcher.terminal.screen


async def test_the_launcher_dying_takes_the_agent_along(launchers: Launchers) -> None:
    launcher = await launchers.run_script("trap '' HUP TERM INT; while :; do sleep 0.1; done")
    agent_pid = launcher.agent_pid
    launcher.process.kill()
    eventually(lambda: gone(agent_pid), "the agent is dead")
    trace = await launchers.pad.trace(launcher.directory.name)
    assert (trace.lock_held, trace.agent_alive, trace.exit) == (False, False, None)


async def test_a_launcher_killed_while_it_starts_leaves_no_agent(launchers: Launchers) -> None:
    for delay_s in (0.004, 0.006, 0.008, 0.01, 0.012, 0.014, 0.016, 0.02):
        run_id, argv = await launchers.prepare(("sleep", "1000"))
        launcher = launchers.open(run_id, argv)
        await asyncio.sleep(delay_s)
        launcher.process.kill()
        launcher.process.wait()

        async def alive(run_id: str = run_id) -> bool:
            return (await launchers.pad.trace(run_id)).agent_alive

        deadline_s = asyncio.get_running_loop().time() + 10
        while await alive():
            assert asyncio.get_running_loop().time() < deadline_s
            await asyncio.sleep(0.01)
        assert not await launchers.pad.kill(run_id), "nothing of the run was left to be killed"


async def test_closing_the_window_ends_the_agent(launchers: Launchers) -> None:
    launcher = await launchers.start("sleep", "1000")
    assert not gone(launcher.agent_pid)
    launcher.process.send_signal(signal.SIGHUP)
    assert (launcher.exit["reason"], launcher.exit["signal"]) == ("signalled", signal.SIGHUP)
    assert "window was closed" in launcher.exit["detail"]
