"""What changed in a project's git repository.

The repository's own configuration is not trusted with ours: git runs without hooks, monitors, pagers, external diffs,
signature programs and network, and in an environment that holds no secret (a content filter such as LFS must run, or
the answer would be wrong). Nothing is written, and no lock is taken that could disturb the agent's own git.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import re
import shutil
import signal
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

from ccm_orchestrator.domain.result import GitChange

CLOCK_STEP_S = 0.02
"""File times come from a clock that the kernel moves on some hundred times a second."""
MAX_COMMITS = 500
MAX_FILES = 2_000
MAX_STAT_FILES = 50
_MAX_OUTPUT_BYTES = 8_000_000
_MAX_STAT_CHARACTERS = 20_000
_INHERITED = ("PATH", "HOME", "XDG_CONFIG_HOME", "TMPDIR")
_CALM = {
    "LC_ALL": "C",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
}
_SETTINGS = (
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.pager=cat",
    "core.quotePath=false",
    "gc.auto=0",
    "i18n.logOutputEncoding=UTF-8",
    "log.showSignature=false",
    "protocol.allow=never",
    "submodule.recurse=false",
)
_DIFF = ("diff", "--no-ext-diff", "--no-textconv", "--no-color", "--no-renames", "--no-relative")
_DIFF_OPTIONS = (*_DIFF, "--ignore-submodules=dirty", "-O/dev/null")
_OBJECT_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Output:
    data: bytes
    complete: bool

    @property
    def text(self) -> str:
        return _text(self.data)

    @property
    def path(self) -> Path:
        return Path(os.fsdecode(self.data.removesuffix(b"\n")))

    @property
    def items(self) -> list[str]:
        """Of output in which each item is ended by NUL; one that was cut off is left out."""
        return [_text(item) for item in self.data.split(b"\0")[:-1]]


def calm_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What git gets to see of it."""
    return {name: environment[name] for name in _INHERITED if name in environment} | _CALM


def calm_settings() -> list[str]:
    """Arguments that come before git's command."""
    return [word for setting in _SETTINGS for word in ("-c", setting)]


class GitWorkspace:
    """`Workspace` by the `git` command. No git, no repository and no answer in time all mean: no change is known."""

    def __init__(self, environment: Mapping[str, str], timeout_s: float = 30.0) -> None:
        """git sees PATH, HOME, XDG_CONFIG_HOME and TMPDIR of `environment`; `timeout_s` is for each git command."""
        self._environment = calm_environment(environment)
        self._timeout_s = timeout_s

    async def base_commit(self, path: Path) -> str | None:
        """One process, because every start of an agent waits for it: fails where there is no work tree."""
        output = await self._git(path, "rev-parse", "--quiet", "--show-toplevel", "HEAD^{commit}")
        return output.text.splitlines()[-1] if output else None

    async def change_since(self, path: Path, base_commit: str, since: datetime | None = None) -> GitChange | None:
        """Paths are relative to the top of the repository, of which the project may be a part.

        What could not be told in full is said in the last lines of `diff_stat`. Raises: ValueError when `base_commit`
        is not a whole object id.
        """
        if not _OBJECT_ID.fullmatch(base_commit):
            raise ValueError(f"Expected `base_commit` to be a whole git object id, got: {base_commit!r}.")
        top = await self._top(path)
        if top is None:
            return None
        head = await self._commit(top, "HEAD") or ""
        if await self._commit(top, base_commit) is None:
            note = f"The commit {base_commit} that the run started from is not in the repository any more."
            return GitChange(base_commit, head, (), (), note)
        with tempfile.TemporaryDirectory(prefix="ccm-index-") as directory:
            index = Path(directory) / "index"
            await self._copy_index(top, index)
            return await self._compare(top, index, base_commit, head, since)

    async def _copy_index(self, top: Path, copy: Path) -> None:
        """`git diff` locks and rewrites the index that it looks at, optional locks or not, so it looks at a copy."""
        output = await self._git(top, "rev-parse", "--git-path", "index")
        if output:
            with suppress(FileNotFoundError):  # nothing was ever added: no index is an empty one
                await asyncio.to_thread(shutil.copyfile, top / output.path, copy)

    async def _compare(self, top: Path, index: Path, base: str, head: str, since: datetime | None) -> GitChange | None:
        tracked, untracked, stat, commits, lost = await asyncio.gather(
            self._git(top, *_DIFF_OPTIONS, "--name-only", "-z", base, "--", index=index),
            self._git(top, "ls-files", "--others", "--exclude-standard", "-z", "--"),
            self._git(top, *_DIFF_OPTIONS, f"--stat=100,70,{MAX_STAT_FILES}", base, "--", index=index),
            self._commits(top, base, head),
            self._count(top, head, base),
        )
        if tracked is None or untracked is None:
            return None
        fresh = await asyncio.to_thread(_touched, top, untracked, since)
        files = tuple(dict.fromkeys([*tracked.items, *fresh]))
        notes = [
            *_untracked_note(len(fresh)),
            *_cut_note(len(files), tracked.complete and untracked.complete),
            *_lost_note(base, head, lost),
        ]
        return GitChange(base, head, commits, files[:MAX_FILES], _stat_text(stat, notes))

    async def _commits(self, top: Path, base: str, head: str) -> tuple[str, ...]:
        if not head:
            return ()
        options = ("-z", "--reverse", "--no-decorate", "--no-color", f"--max-count={MAX_COMMITS}", "--format=%h %s")
        output = await self._git(top, "log", *options, f"{base}..{head}", "--")
        return tuple(output.items) if output else ()

    async def _count(self, top: Path, excluded: str, included: str) -> int:
        """Commits that `included` has and `excluded` has not."""
        span = f"{excluded}..{included}" if excluded else included
        output = await self._git(top, "rev-list", "--count", span, "--")
        return int(output.text) if output else 0

    async def _commit(self, path: Path, name: str) -> str | None:
        output = await self._git(path, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
        return output.text.strip() if output else None

    async def _top(self, path: Path) -> Path | None:
        output = await self._git(path, "rev-parse", "--show-toplevel")
        return output.path if output and output.data.strip() else None

    async def _git(self, directory: Path, *arguments: str, index: Path | None = None) -> _Output | None:
        """None when it could not be started, ended with an error, or did not end in time."""
        environment = self._environment | ({"GIT_INDEX_FILE": str(index)} if index else {})
        with tempfile.TemporaryFile() as errors:
            try:
                async with asyncio.timeout(self._timeout_s):
                    output, code = await _run(directory, arguments, environment, errors)
            except TimeoutError:
                log.warning("git %s in %s did not end within %g s", arguments[0], directory, self._timeout_s)
                return None
            except OSError as error:
                log.debug("git %s could not be started in %s: %s", arguments[0], directory, error)
                return None
            if code == 0:
                return output
            errors.seek(0)
            log.debug(
                "git %s in %s ended with %d: %s", arguments[0], directory, code, _text(errors.read(2_000)).strip()
            )
            return None


async def _run(
    directory: Path, arguments: Sequence[str], environment: Mapping[str, str], errors: IO[bytes]
) -> tuple[_Output, int]:
    process = await asyncio.create_subprocess_exec(
        *("git", "--no-pager", "--literal-pathspecs", *calm_settings(), *arguments),
        cwd=directory,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=errors,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        output = await _read(process.stdout)
        return output, await process.wait() if output.complete else 0
    finally:
        await _end(process)


async def _read(stream: asyncio.StreamReader) -> _Output:
    data = bytearray()
    while len(data) < _MAX_OUTPUT_BYTES:
        chunk = await stream.read(65_536)
        if not chunk:
            return _Output(bytes(data), complete=True)
        data += chunk
    return _Output(bytes(data), complete=False)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ends git and whatever it started (it has a session of its own)."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def _touched(top: Path, output: _Output, since: datetime | None) -> list[str]:
    """Of files named in the output, those whose content or place changed after `since`; a file that is gone counts."""
    if since is None:
        return output.items
    since_s = since.timestamp() - CLOCK_STEP_S
    return [_text(name) for name in output.data.split(b"\0")[:-1] if _changed_at_s(top, name) >= since_s]


def _changed_at_s(top: Path, name: bytes) -> float:
    """Of the inode: archives and `touch` set the time of the content, nobody sets this one."""
    try:
        return (top / os.fsdecode(name)).lstat().st_ctime
    except OSError:
        return math.inf


def _text(data: bytes) -> str:
    """Never with lone surrogates, which no database and no JSON reader takes."""
    return data.decode("utf-8", "backslashreplace")


def _untracked_note(count: int) -> list[str]:
    return [f" {count} untracked file{'s' * (count != 1)}"] if count else []


def _cut_note(count: int, complete: bool) -> list[str]:
    if count <= MAX_FILES and complete:
        return []
    return [f"Only the first {min(count, MAX_FILES)} of {'' if complete else 'more than '}{count} files are listed."]


def _lost_note(base: str, head: str, lost: int) -> list[str]:
    if not head:
        return ["HEAD is a branch without a commit."]
    if not lost:
        return []
    them = "a commit that was" if lost == 1 else f"{lost} commits that were"
    return [f"HEAD lacks {them} there at {base[:12]}: history was rewritten, or another branch is checked out."]


def _stat_text(stat: _Output | None, notes: list[str]) -> str:
    text = stat.text.rstrip("\n")[:_MAX_STAT_CHARACTERS] if stat else "git could not compare the contents."
    return "\n".join([*([text] if text else []), *notes])
