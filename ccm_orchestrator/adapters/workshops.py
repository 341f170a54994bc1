"""Directories of standing agents: a work tree of their project's repository each, or an empty directory.

What git would start on its own (hooks, monitors, transfers) stays off, as in `adapters/git.py`. Work that is nowhere
else is never removed: not a changed file, and not a commit, which stays on the agent's branch.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ccm_orchestrator.directories import make_directory
from ccm_orchestrator.errors import InvalidProject

GIT_TIMEOUT_S = 120.0
_INHERITED = ("PATH", "HOME", "XDG_CONFIG_HOME", "TMPDIR")
_CALM = {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1"}
_SETTINGS = ("core.hooksPath=/dev/null", "core.fsmonitor=false", "gc.auto=0", "protocol.allow=never")


@dataclass(frozen=True, slots=True)
class _Answer:
    code: int
    out: str
    err: str


class GitWorkshops:
    """`Workshops` below one directory of the state directory, one per agent, named by its id."""

    def __init__(self, root: Path, environment: Mapping[str, str]) -> None:
        """git sees PATH, HOME, XDG_CONFIG_HOME and TMPDIR of `environment`."""
        self._root = root
        self._environment = {name: environment[name] for name in _INHERITED if name in environment} | _CALM

    async def directories(self) -> list[Path]:
        """All there are, with the one inside in which the agent works: what agents may be started in."""
        return await asyncio.to_thread(self._directories)

    async def make(self, agent_id: str, name: str, project: Path) -> Path:
        tree = self._root / agent_id
        make_directory(self._root)
        within = await self._within_repository(project)
        if within is None:
            tree.mkdir(exist_ok=True)
            return tree
        if not tree.exists():
            branch = f"agents/{name}-{agent_id[:8]}"
            made = await self._git(project, "worktree", "add", "-b", branch, str(tree), "HEAD")
            if made.code != 0:
                raise InvalidProject(f"No work tree of {project} could be made: {_last_line(made.err)}")
        directory = tree / within
        if not await asyncio.to_thread(directory.is_dir):
            raise InvalidProject(f"{project} is not in the last commit of its repository: commit it first.")
        await asyncio.to_thread(self._note(agent_id).write_text, within, "utf-8")
        return directory

    async def remove(self, agent_id: str, project: Path) -> str:
        tree = self._root / agent_id
        if tree.parent != self._root or agent_id in ("", ".", "..") or await asyncio.to_thread(tree.is_symlink):
            return f"The directory {tree} was kept: it is none that was made for an agent."
        if not await asyncio.to_thread(tree.exists):
            return ""
        if not await asyncio.to_thread((tree / ".git").exists):
            return await asyncio.to_thread(_remove_empty, tree)
        branch = (await self._git(tree, "branch", "--show-current")).out.strip()
        removed = await self._git(project, "worktree", "remove", str(tree))
        if removed.code != 0:
            return f"The directory {tree} was kept: {_last_line(removed.err)}"
        if branch.startswith("agents/"):
            await self._git(project, "branch", "-d", branch)  # refused when its commits are nowhere else
        await asyncio.to_thread(self._note(agent_id).unlink, True)
        return ""

    async def _within_repository(self, project: Path) -> str | None:
        """The project's place in its repository; None when there is none, or no commit in it."""
        head = await self._git(project, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        prefix = await self._git(project, "rev-parse", "--show-prefix")
        return prefix.out.removesuffix("\n") if head.code == prefix.code == 0 else None

    def _note(self, agent_id: str) -> Path:
        """Where in its work tree the agent works."""
        return self._root / f"{agent_id}.place"

    def _directories(self) -> list[Path]:
        found = []
        for tree in self._root.iterdir() if self._root.is_dir() else ():
            if tree.is_dir():
                note = self._note(tree.name)
                found.append(tree / note.read_text("utf-8") if note.exists() else tree)
        return found

    async def _git(self, directory: Path, *arguments: str) -> _Answer:
        """A git that is missing or does not end in time answers with an error like any other."""
        settings = [word for setting in _SETTINGS for word in ("-c", setting)]
        try:
            process = await asyncio.create_subprocess_exec(
                *("git", *settings, *arguments),
                cwd=directory,
                env=self._environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            return _Answer(127, "", f"git could not be started in {directory}: {error.strerror or error}.")
        try:
            async with asyncio.timeout(GIT_TIMEOUT_S):
                out, err = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            return _Answer(124, "", f"git {arguments[0]} did not end within {GIT_TIMEOUT_S:g} s.")
        return _Answer(process.returncode or 0, os.fsdecode(out), os.fsdecode(err))


def _remove_empty(directory: Path) -> str:
    try:
        directory.rmdir()
    except OSError as error:
        return f"The directory {directory} was kept: {error.strerror or error}."
    return ""


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].removeprefix("fatal: ") if lines else "git did not say why."
