"""What a hook costs: from the start of the hook's process to its end, which the agent waits for.

The agent runs one hook before and one after each tool call, so a tool call costs two of these.
"""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from benchmarks.harness import CHECKOUT, Goal, Report, Sampler, Unit, seconds, take_turns

ROUNDS = 60
PAYLOAD = b'{"session_id":"5bb4","hook_event_name":"PreToolUse","tool_name":"Bash","tool_input":{"command":"%s"}}'
SMALL, LARGE = PAYLOAD % (b"x" * 2_000), PAYLOAD % (b"x" * 1_000_000)
PYTHON_HOOK = """\
import json, os, pathlib, sys, time
payload = json.load(sys.stdin)
path = pathlib.Path(sys.argv[1]) / f"{sys.argv[2]}.{os.getpid()}.{time.time_ns()}.json"
path.write_text(json.dumps(payload))
"""
"""The usual kind: standard library only, reads its payload, keeps it."""


async def measure(rounds: int | None) -> Sequence[Report]:
    spool = Path(tempfile.mkdtemp(prefix="ccm-bench-"))
    try:
        return [await _measure(spool, rounds or ROUNDS)]
    finally:
        shutil.rmtree(spool)


async def _measure(spool: Path, rounds: int) -> Report:
    python_hook = spool / "hook.py"
    python_hook.write_text(PYTHON_HOOK)
    ours, gone = str(CHECKOUT / "hooks" / "ccm-hook"), str(spool / "gone")
    there = str(spool / "there")
    Path(there).mkdir()
    contenders = {
        "nothing (/bin/true)": _call(SMALL, "/bin/true"),
        "ccm-hook": _call(SMALL, ours, there, "PreToolUse"),
        "ccm-hook, 1 MB": _call(LARGE, ours, there, "PreToolUse"),
        "ccm-hook, no spool": _call(SMALL, ours, gone, "PreToolUse"),
        "Python hook": _call(SMALL, sys.executable, str(python_hook), there, "PreToolUse"),
    }
    samples = await take_turns(contenders, rounds)
    ours_s, python_s = samples["ccm-hook"].median, samples["Python hook"].median
    return Report(
        "hook_cost",
        "how long does the agent wait for one hook?",
        Unit.MILLISECONDS,
        samples,
        [
            Goal("two ccm-hooks per tool call, ms", 2000 * ours_s, 8),
            Goal("a Python hook costs that many ccm-hooks", python_s / ours_s, 5, at_least=True),
        ],
        ["tool calls of the real agent are measured elsewhere; this is the process alone"],
    )


def _call(payload: bytes, *command: str) -> Sampler:
    async def run() -> None:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, close_fds=False
        )
        with suppress(BrokenPipeError, ConnectionResetError):  # /bin/true reads nothing
            await process.communicate(payload)
        assert process.returncode == 0

    return lambda: seconds(run)
