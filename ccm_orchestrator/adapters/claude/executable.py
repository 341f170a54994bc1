"""The `claude` executable: where it is, and what its short commands answer."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ccm_orchestrator.errors import AgentMissing, DriverError

_USUAL_PLACES = (".local/bin", ".claude/local", ".npm-global/bin", "node_modules/.bin", ".bun/bin")
"""Below HOME: a service's PATH is shorter than a login shell's."""
_ANSWER_LIMIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    exit_code: int
    stdout: str


def find_executable(name: str | Path, env: Mapping[str, str]) -> Path:
    """An absolute path as given, else the first on PATH or in the usual places. Raises: AgentMissing."""
    home = env.get("HOME", "")
    places = [env.get("PATH", ""), *(f"{home}/{place}" for place in _USUAL_PLACES if home), "/usr/local/bin"]
    found = shutil.which(str(name), path=":".join(place for place in places if place))
    if found is None:
        raise AgentMissing(
            f"Claude Code was not found as `{name}`; install it with `npm install -g @anthropic-ai/claude-code`, "
            "or set its path in the configuration.",
            executable=str(name),
        )
    return Path(found).absolute()


async def ask(executable: Path, *arguments: str, env: Mapping[str, str]) -> Answer:
    """Runs a short command to its end, in the file system's root. Raises: AgentMissing, DriverError."""
    shown = " ".join([executable.name, *arguments])
    try:
        process = await asyncio.create_subprocess_exec(
            executable,
            *arguments,
            env=dict(env),
            cwd="/",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError as error:
        raise AgentMissing(f"Claude Code at {executable} cannot be started: {error.strerror}.") from error
    try:
        stdout, _ = await asyncio.wait_for(process.communicate(), _ANSWER_LIMIT_S)
    except TimeoutError as error:
        process.kill()
        await process.wait()
        raise DriverError(f"`{shown}` did not answer within {_ANSWER_LIMIT_S:.0f} s.") from error
    return Answer(process.returncode or 0, stdout.decode("utf-8", "replace"))
