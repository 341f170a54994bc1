"""Print mode: the agent's output is kept to the byte, and a person can read it."""

import json
import signal
from pathlib import Path

from tests.launching import ENVIRONMENT, Launchers, eventually, fill

STREAM = [
    {"type": "system", "subtype": "init", "model": "m", "session_id": "s"},
    {"type": "assistant", "message": {"content": [{"type": "text", "text": "Working \x1b[31mred"}]}},
    {"type": "result", "subtype": "success", "num_turns": 1, "total_cost_usd": 0.5, "is_error": False},
]


async def test_the_stream_is_kept_and_shown(launchers: Launchers) -> None:
    stream = "".join(json.dumps(record) + "\n" for record in STREAM)
    files = {"prompt.txt": stream.encode()}
    launcher = await launchers.start(
        "sh", "-c", "cat; echo oops >&2", files=files, stdin_file="prompt.txt", stdout_file="stream.jsonl"
    )
    assert launcher.exit["exit_code"] == 0
    assert (launcher.directory / "stream.jsonl").read_text() == stream
    assert (launcher.directory / "stderr.log").read_text() == "oops\n"
    assert launcher.terminal.screen.replace("\r\n", "\n") == (
        "model m · session s\n● Working [31mred\n[success · 1 turns · 0.5000 USD]\noops\n"
    )


async def test_garbage_is_kept_to_the_byte(launchers: Launchers) -> None:
    garbage = bytes(range(256)) * 8192 + b'\n{"type": "assistant", "message": 3}\n' + b"\xff\xfe" * 70_000
    launcher = await launchers.start(
        "cat", files={"in": garbage}, stdin_file="in", stdout_file="stream.jsonl", env=ENVIRONMENT
    )
    assert launcher.exit["exit_code"] == 0
    assert (launcher.directory / "stream.jsonl").read_bytes() == garbage
    assert "\x1b" not in launcher.terminal.screen


async def test_output_of_a_child_that_outlives_the_agent_is_kept(launchers: Launchers) -> None:
    script = "(trap 'echo last words; exit' TERM; echo ready; while :; do sleep 0.01; done) & sleep 0.2; exit 0"
    launcher = await launchers.run_script(script, stdout_file="stream.jsonl")
    assert len(launcher.exit["swept"]) >= 1
    assert (launcher.directory / "stream.jsonl").read_text() == "ready\nlast words\n"


async def test_a_missing_prompt_is_explained(launchers: Launchers) -> None:
    launcher = await launchers.start("cat", stdin_file="prompt.txt", stdout_file="stream.jsonl")
    assert launcher.exit["reason"] == "start_failed"
    assert "input file prompt.txt cannot be read" in launcher.exit["detail"]


async def test_a_terminal_that_stands_still_does_not_stop_the_agent(launchers: Launchers) -> None:
    """A person pressed Ctrl-S."""
    launcher = await launchers.run_script(
        'echo ready; while ! [ -e "$RUN/go" ]; do sleep 0.01; done; seq 1 200000; exit 9', stdout_file="stream.jsonl"
    )
    eventually(lambda: "ready" in launcher.terminal.screen, "the agent is ready")
    launcher.terminal.type(b"\x13")
    (launcher.directory / "go").touch()
    eventually((launcher.directory / "exit.json").exists, "exit.json")
    assert launcher.exit["exit_code"] == 9
    assert (launcher.directory / "stream.jsonl").read_text().endswith("\n200000\n")


async def test_output_waits_for_a_full_disk(small_disk: Path) -> None:
    launchers = Launchers(small_disk)
    script = "read line; seq 1 1000; read line; exit 3"
    run_id, argv = await launchers.prepare(("sh", "-c", script), cwd="/", stdout_file="stream.jsonl")
    launcher = launchers.open(run_id, argv)
    try:
        assert launcher.agent_pid
        filler = fill(small_disk)
        launcher.terminal.type(b"\n")
        eventually(lambda: "1000" in launcher.terminal.screen, "the agent's output is shown")
        filler.unlink()
        launcher.terminal.type(b"\n")
        assert launcher.exit["exit_code"] == 3
        assert (launcher.directory / "stream.jsonl").read_text() == "".join(f"{number}\n" for number in range(1, 1001))
    finally:
        await launchers.clean_up()


async def test_a_key_interrupts_the_agent(launchers: Launchers) -> None:
    launcher = await launchers.run_script("echo ready; exec sleep 1000", stdout_file="stream.jsonl")
    eventually(lambda: "ready" in launcher.terminal.screen, "the agent is ready")
    launcher.terminal.type(b"\x03")
    assert launcher.exit["signal"] == signal.SIGINT
