"""Where below a directory Claude Code finds skills as soon as an agent touches a file beside them.

It looks for `.claude/skills` in every directory between the file and its own, but for those that git ignores; git takes
nothing for ignored that is reached through a link (measured with 2.1.197 and 2.1.329). A listing is kept until its
directory changes, so that only the first look at a large tree reads it all.
"""

from __future__ import annotations

import os
import stat
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from ccm_orchestrator.adapters.claude.file_digests import TooMuch, is_directory
from ccm_orchestrator.adapters.git import calm_environment, calm_settings

MOST_DIRECTORIES = 100_000
MOST_ENTRIES = 2_000_000
SETTLED_NS = 2_000_000_000
"""A directory that changed less than this before it was read may change again without another time showing it."""
MOST_TREES = 8
_GIT_LIMIT_S = 10.0


@dataclass(frozen=True, slots=True)
class _Listing:
    identity: tuple[int, ...]
    directories: tuple[str, ...]
    links: tuple[str, ...]
    """Wherever they lead: that may change without the directory."""
    entries: int
    has_claude: bool


class NestedSkills:
    """Safe to use from any thread."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """`environment`: that of the agents, whose git knows the user's own ignored files."""
        self._environment = calm_environment(environment)
        self._trees: dict[str, dict[str, _Listing]] = {}
        self._lock = Lock()

    def places(self, directory: Path) -> list[Path]:
        """The directories whose `.claude` holds skills, without `directory` itself. Blocking. Raises: TooMuch."""
        root = os.fspath(directory)
        with self._lock:
            known = self._trees.pop(root, {})
            fresh = dict[str, _Listing]()
            try:
                fresh.update(_walk(root, known))
            finally:
                self._keep(root, fresh)
        found = [path for path, listing in fresh.items() if listing.has_claude and path != root and _has_skills(path)]
        ignored = self._ignored(root, found) if found else set[str]()
        linked = [link for path, listing in fresh.items() for link in _targets(path, listing.links)] if ignored else []
        return [Path(p) for p in sorted(found) if p not in ignored or any(_within(p, target) for target in linked)]

    def _keep(self, root: str, tree: dict[str, _Listing]) -> None:
        """As the newest of a few."""
        self._trees[root] = tree
        while len(self._trees) > MOST_TREES:
            del self._trees[next(iter(self._trees))]

    def _ignored(self, root: str, places: Iterable[str]) -> set[str]:
        """As far as git says so: it stops at what it cannot tell."""
        command = ["git", "-C", root, *calm_settings(), "check-ignore", "-z", "--stdin"]
        given = b"\0".join(os.fsencode(place) for place in places) + b"\0"
        try:
            answer = subprocess.run(
                command, input=given, capture_output=True, env=self._environment, timeout=_GIT_LIMIT_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return set()
        return {os.fsdecode(path) for path in answer.stdout.split(b"\0") if path}


def _walk(root: str, known: Mapping[str, _Listing]) -> Iterator[tuple[str, _Listing]]:
    """By path. Links are not followed: what is inside is found where it is, and what is outside is nobody's project."""
    waiting, directories, entries = [root], 0, 0
    while waiting:
        path = waiting.pop()
        listing = _listing(path, known.get(path))
        if listing is None:
            continue
        directories, entries = directories + 1, entries + listing.entries
        if directories > MOST_DIRECTORIES or entries > MOST_ENTRIES:
            raise TooMuch(
                f"holds more than {MOST_DIRECTORIES} directories or {MOST_ENTRIES} files, too many to look for skills "
                "below it; register a part of it as the project"
            )
        yield path, listing
        waiting += [f"{path}/{name}" for name in listing.directories if name.lower() != ".git"]


def _listing(path: str, known: _Listing | None) -> _Listing | None:
    """As it is now; `None`: it is gone."""
    now = time.time_ns()
    try:
        status = os.lstat(path)
    except OSError:
        return None
    if not stat.S_ISDIR(status.st_mode):
        return None
    settled = max(status.st_ctime_ns, status.st_mtime_ns) + SETTLED_NS < now
    identity = (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns) if settled else ()
    if known is not None and identity and known.identity == identity:
        return known
    return _read(path, identity)


def _read(path: str, identity: tuple[int, ...]) -> _Listing:
    directories, links, entries, has_claude = list[str](), list[str](), 0, False
    try:
        with os.scandir(path) as listed:
            for entry in listed:
                entries += 1
                has_claude |= entry.name.lower() == ".claude"
                if entry.is_dir(follow_symlinks=False):
                    directories.append(entry.name)
                elif entry.is_symlink():
                    links.append(entry.name)
    except OSError:  # it may not be listed, yet searched by name
        has_claude = True
    return _Listing(identity, tuple(directories), tuple(links), entries, has_claude)


def _has_skills(place: str) -> bool:
    return is_directory(Path(place, ".claude", "skills"))


def _targets(place: str, links: Iterable[str]) -> Iterator[str]:
    return (os.path.realpath(f"{place}/{link}") for link in links)


def _within(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")
