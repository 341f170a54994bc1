"""How agents end: asked, forced, out of memory, with processes left behind, on a full disk."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.launching import ENVIRONMENT, Launchers, StartedLauncher, eventually, fill, gone

STUBBORN = "trap '' INT HUP TERM; echo $$ > \"$RUN/ready\"; while :; do sleep 0.05; done"
HUNGRY = """
import os, time
open(os.environ["RUN"] + "/ready", "w").write("ready\\n")
hoard = []
for _ in range(400):
    hoard.append(os.urandom(1 << 20))
    time.sleep(0.005)
time.sleep(1000)
"""


async def test_terminate_is_recorded_as_our_wish(launchers: Launchers) -> None:
    launcher = await launchers.start("sleep", "1000")
    assert not gone(launcher.agent_pid)
    assert await launchers.pad.terminate(launcher.directory.name)
    assert (launcher.exit["reason"], launcher.exit["signal"]) == ("terminated", signal.SIGTERM)
    assert not await launchers.pad.terminate(launcher.directory.name)


async def test_terminate_turns_to_force_after_the_grace(launchers: Launchers) -> None:
    launcher = await launchers.run_script(STUBBORN)
    launcher.wait_for_file("ready")
    assert await launchers.pad.terminate(launcher.directory.name)
    assert (launcher.exit["reason"], launcher.exit["signal"]) == ("terminated", signal.SIGKILL)


async def test_terminate_reaches_a_stopped_agent(launchers: Launchers) -> None:
    launcher = await launchers.start("sleep", "1000")
    os.kill(launcher.agent_pid, signal.SIGSTOP)
    assert await launchers.pad.terminate(launcher.directory.name)
    assert (launcher.exit["reason"], launcher.exit["signal"]) == ("terminated", signal.SIGTERM)


async def test_interrupt_reaches_only_the_agent(launchers: Launchers) -> None:
    launcher = await launchers.run_script('trap "exit 7" INT; echo > "$RUN/ready"; while :; do sleep 0.05; done')
    launcher.wait_for_file("ready")
    assert await launchers.pad.interrupt(launcher.directory.name)
    assert (launcher.exit["reason"], launcher.exit["exit_code"]) == ("exited", 7)
    assert not await launchers.pad.interrupt(launcher.directory.name)


async def test_kill_ends_everything_and_the_launcher_still_records_it(launchers: Launchers) -> None:
    launcher = await launchers.run_script(f"setsid sh -c '{STUBBORN.replace(chr(39), chr(34))}' & {STUBBORN}")
    launcher.wait_for_file("ready")
    assert await launchers.pad.kill(launcher.directory.name)
    assert (launcher.exit["reason"], launcher.exit["signal"]) == ("terminated", signal.SIGKILL)
    assert not await launchers.pad.kill(launcher.directory.name)


async def test_kill_ends_a_launcher_that_hangs(launchers: Launchers) -> None:
    launcher = await launchers.run_script(STUBBORN)
    launcher.wait_for_file("ready")
    agent_pid = launcher.agent_pid
    launcher.process.send_signal(signal.SIGSTOP)
    assert await launchers.pad.kill(launcher.directory.name)
    assert launcher.wait() == -signal.SIGKILL
    assert gone(agent_pid)
    assert not (await launchers.pad.trace(launcher.directory.name)).lock_held


async def test_kill_finds_what_a_dead_launcher_left_behind(launchers: Launchers) -> None:
    launcher = await launchers.run_script("setsid sh -c 'echo $$ > \"$RUN/tool\"; exec sleep 1000' & sleep 1000")
    tool_pid = int(launcher.wait_for_file("tool"))
    launcher.process.kill()
    await asyncio.to_thread(launcher.process.wait)
    assert not gone(tool_pid), "the kernel kills the agent only"
    assert await launchers.pad.kill(launcher.directory.name)
    eventually(lambda: gone(tool_pid), "the tool is dead")


@pytest.mark.parametrize("way", ["sleep 1000 &", "setsid sleep 1000 &", "(setsid nohup sleep 1000 >/dev/null 2>&1 &)"])
async def test_processes_left_behind_are_ended(launchers: Launchers, way: str) -> None:
    launcher = await launchers.run_script(f"{way}\necho done\nexit 0")
    assert launcher.exit["exit_code"] == 0
    assert len(launcher.exit["swept"]) >= 1
    assert all(map(gone, launcher.exit["swept"]))


async def test_a_stubborn_process_left_behind_is_killed(launchers: Launchers) -> None:
    stubborn = STUBBORN.replace("'", '"')
    launcher = await launchers.run_script(
        f"setsid sh -c '{stubborn}' & while ! [ -s \"$RUN/ready\" ]; do sleep 0.01; done"
    )
    assert launcher.exit["exit_code"] == 0
    assert int((launcher.directory / "ready").read_text()) in launcher.exit["swept"]
    assert gone(int((launcher.directory / "ready").read_text()))


async def test_the_lock_is_held_until_nothing_is_left(launchers: Launchers) -> None:
    stubborn = STUBBORN.replace("'", '"')
    launcher = await launchers.run_script(
        f"setsid sh -c '{stubborn}' & while ! [ -s \"$RUN/ready\" ]; do sleep 0.01; done"
    )
    left_pid = int(launcher.wait_for_file("ready"))
    while not gone(left_pid):
        assert (await launchers.pad.trace(launcher.directory.name)).lock_held or gone(left_pid)
        await asyncio.sleep(0.02)
    assert launcher.exit["exit_code"] == 0


async def test_an_agent_over_its_memory_limit_is_ended(launchers: Launchers) -> None:
    limit_bytes = 100 << 20
    launcher = await hungry(launchers, memory_limit_bytes=limit_bytes)
    assert launcher.exit["reason"] == "out_of_memory"
    assert "memory limit of 100 MB" in launcher.exit["detail"]
    assert launcher.exit["max_rss_bytes"] > limit_bytes


async def test_the_limit_counts_what_the_agent_starts(launchers: Launchers) -> None:
    script = f"python3 -c '{HUNGRY}' & python3 -c '{HUNGRY}' & wait"
    launcher = await launchers.run_script(script, memory_limit_bytes=600 << 20)
    assert launcher.exit["reason"] == "out_of_memory"
    assert all(map(gone, launcher.exit["swept"]))


async def test_a_modest_agent_is_left_alone(launchers: Launchers) -> None:
    launcher = await launchers.run_script("sleep 0.5", memory_limit_bytes=100 << 20)
    assert launcher.exit["reason"] == "exited"


@pytest.fixture
def memory_group() -> Iterator[Path]:
    """A control group of our own with the memory controller, version 2 or 1: root may make one."""
    for root in (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/memory")):
        group = root / f"ccm-test-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        limits = any((group / name).exists() for name in ("memory.max", "memory.limit_in_bytes"))
        if limits:
            yield group
        group.rmdir()
        if limits:
            return
    pytest.skip("no control group with the memory controller can be made here")


async def test_the_kernel_enforces_the_limit_of_a_control_group(
    launchers: Launchers, tmp_path: Path, memory_group: Path
) -> None:
    pad = launchers.make_pad(memory_group=memory_group)
    env = {**ENVIRONMENT, "RUN": str(tmp_path)}
    run_id, argv = await launchers.prepare(("python3", "-c", HUNGRY), pad, env=env, memory_limit_bytes=100 << 20)
    launcher = launchers.open(run_id, argv)
    assert launcher.started["cgroup"].startswith(str(memory_group))
    assert launcher.exit["reason"] == "out_of_memory"
    assert not Path(launcher.started["cgroup"]).exists()


async def test_a_control_group_that_cannot_be_made_means_measuring(launchers: Launchers, tmp_path: Path) -> None:
    pad = launchers.make_pad(memory_group=tmp_path)
    env = {**ENVIRONMENT, "RUN": str(tmp_path)}
    run_id, argv = await launchers.prepare(("python3", "-c", HUNGRY), pad, env=env, memory_limit_bytes=100 << 20)
    launcher = launchers.open(run_id, argv)
    assert launcher.started["cgroup"] is None
    assert launcher.exit["reason"] == "out_of_memory"
    assert list(tmp_path.glob("ccm-*")) == []


async def hungry(launchers: Launchers, memory_limit_bytes: int) -> StartedLauncher:
    return await launchers.run_script(f"exec python3 -c '{HUNGRY}'", memory_limit_bytes=memory_limit_bytes)


async def test_a_full_disk_hurts_no_agent_and_the_records_come_later(small_disk: Path) -> None:
    launchers = Launchers(small_disk)
    run_id, argv = await launchers.prepare(("sh", "-c", "read line; echo agent says $line; exit 4"), cwd="/")
    filler = fill(small_disk)
    try:
        launcher = launchers.open(run_id, argv)
        eventually((launcher.directory / "run.json.tmp").exists, "the launcher tries to write")
        launcher.terminal.type(b"hello\n")
        eventually(lambda: "cannot be written" in launcher.terminal.screen, "the launcher says so")
        assert "agent says hello" in launcher.terminal.screen
        assert (await launchers.pad.trace(run_id)).lock_held
        filler.unlink()
        assert launcher.exit["exit_code"] == 4
    finally:
        await launchers.clean_up()


async def test_a_start_record_comes_as_soon_as_there_is_space(small_disk: Path) -> None:
    launchers = Launchers(small_disk)
    run_id, argv = await launchers.prepare(("sleep", "1000"), cwd="/")
    filler = fill(small_disk)
    try:
        launcher = launchers.open(run_id, argv)
        eventually((launcher.directory / "run.json.tmp").exists, "the launcher tries to write")
        assert (await launchers.pad.trace(run_id)).agent is None
        assert await launchers.pad.terminate(run_id), "its launcher lives, so something was alive"
        filler.unlink()
        assert not gone(launcher.agent_pid)
        assert await launchers.pad.terminate(run_id)
        assert launcher.exit["reason"] == "terminated"
    finally:
        await launchers.clean_up()


async def test_the_window_closing_for_real_ends_the_agent(launchers: Launchers, tmp_path: Path) -> None:
    """tmux closes its end of the terminal; nobody sends a signal by hand."""
    run_id, argv = await launchers.prepare(("sh", "-c", STUBBORN), env={**ENVIRONMENT, "RUN": str(tmp_path)})
    sockets = {"PATH": ENVIRONMENT["PATH"], "TMUX_TMPDIR": str(tmp_path), "HOME": str(tmp_path)}

    def tmux(*arguments: str) -> int:
        command = ["tmux", "-L", "launcher", "-f", "/dev/null", *arguments]
        return subprocess.run(command, env=sockets, capture_output=True, check=False, timeout=30).returncode

    assert tmux("new-session", "-d", "-s", "ccm", *argv) == 0
    try:
        directory = launchers.pad.directory(run_id)
        eventually((tmp_path / "ready").exists, "the agent is ready")
        assert '"TMUX_PANE": "%0"' in (directory / "run.json").read_text()
        tmux("kill-window", "-t", "ccm")
        eventually((directory / "exit.json").exists, "exit.json")
        assert "after its window was closed" in (directory / "exit.json").read_text()
    finally:
        await launchers.pad.kill(run_id)
        tmux("kill-server")
