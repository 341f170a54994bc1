"""What the files of a directory would make Claude Code do there on its own.

In print mode it runs the hooks of a repository, starts its MCP servers and takes over its variables without asking; in
a conversation it does so once the directory is trusted. It reads `.mcp.json` in every directory above, too, and in a
linked work tree the local settings of the main one. This module looks where it looks, and a little further.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from ccm_orchestrator.adapters.claude.risky_settings import (
    commands_in,
    effects_of_servers,
    effects_of_settings,
    risky_part,
    risky_servers,
)
from ccm_orchestrator.adapters.plain_files import opened
from ccm_orchestrator.domain.trust import Risk

SETTINGS = (".claude/settings.json", ".claude/settings.local.json")
SERVERS = ".mcp.json"
INSTRUCTIONS = (".claude/agents", ".claude/commands", ".claude/skills")
LARGEST_BYTES = 1_000_000
MOST_INSTRUCTIONS = 2_000
MOST_WORDS = 500
_FRONT_MATTER = re.compile(rb"\A(?:\xef\xbb\xbf)?---[^\n]*\n(.*?)\n---", re.S)
_RISKY_KEY = re.compile(
    rb"""(?m)(?:^|[{,])\s*["']?(hooks|allowed-tools|allowedTools|mcpServers|permissionMode|permission-mode)["']?\s*:"""
)
_ESCAPED_KEY = re.compile(rb'"[^"\n]*\\[xuU][^"\n]*"\s*:')
_RUNS_COMMANDS = re.compile(rb"!`|```!")
_COMMANDS = re.compile(rb"!`([^`]*)|```!(.*?)(?:```|\Z)", re.S)
_WORD = re.compile(r"[^\s`;|&()<>=]+")
_QUOTES = str.maketrans("", "", "\"'\\")
_PROJECT_DIRECTORY = re.compile(r"\$\{?CLAUDE_PROJECT_DIR\}?")


def risks_of(directory: Path) -> tuple[Risk, ...]:
    """By file. Blocking; never raises for what it finds there."""
    directory = directory.resolve()
    top = _top(directory)
    found = list[Risk]()
    for place in _upwards(directory, top):
        found += _settings(place, directory, top, SETTINGS)
        found += _servers(place, directory, top)
        found += _instructions(place, directory, top)
    for place in top.parents:
        found += _servers(place, directory, top)
    main = _main_tree(top)
    if main is not None:
        within = main / directory.relative_to(top)
        known = {risk.file for risk in found}
        for place in _upwards(within, main):
            found += (r for r in _settings(place, within, main, SETTINGS[1:]) if r.file not in known)
    return tuple(found)


def _settings(place: Path, directory: Path, top: Path, files: Iterable[str]) -> Iterator[Risk]:
    for name in files:
        yield from _document(place / name, place, directory, top, risky_part, effects_of_settings)


def _servers(place: Path, directory: Path, top: Path) -> Iterator[Risk]:
    yield from _document(place / SERVERS, place, directory, top, risky_servers, effects_of_servers)


def _document(
    path: Path,
    place: Path,
    directory: Path,
    top: Path,
    risky_of: Callable[[object], object],
    effects_of: Callable[[object], Iterable[str]],
) -> Iterator[Risk]:
    """Nothing where the file is not there, or harmless."""
    content = _content(path)
    if content is None:
        return
    document = _parsed(content)
    if document is None:
        yield _opaque(path, directory, top, content)
    elif (risky := risky_of(document)) != {}:
        digest = _digest(_canonical(risky), *_scripts(risky, (place, directory, top)))
        yield Risk(_named(path, directory, top), digest, tuple(effects_of(risky)))


def _instructions(place: Path, directory: Path, top: Path) -> Iterator[Risk]:
    """Agents, commands and skills that bring hooks, rights or commands along; others are texts to be read."""
    seen = 0
    for root in INSTRUCTIONS:
        for path in _files(place / root):
            seen += 1
            if seen > MOST_INSTRUCTIONS:
                yield Risk(
                    _shown(os.path.relpath(place / ".claude", directory)), "too many", ("holds too many files to read",)
                )
                return
            content = _content(path) if path.name.lower().endswith(".md") else None
            effects = tuple(_effects_of_instructions(content)) if content is not None else ()
            if content is not None and effects:
                digest = _digest(content, *_scripts(_commands_of(content), (path.parent, place, directory, top)))
                yield Risk(_shown(os.path.relpath(path, directory)), digest, effects)


def _effects_of_instructions(content: bytes) -> Iterator[str]:
    front = _FRONT_MATTER.match(content)
    keys = {match.decode() for match in _RISKY_KEY.findall(front[1])} if front else set()
    yield from (f"brings {key} along" for key in sorted(keys))
    if front and _ESCAPED_KEY.search(front[1]):
        yield "hides the name of a setting"
    if _RUNS_COMMANDS.search(content):
        yield "runs commands when it is used"
    if len(content) > LARGEST_BYTES:
        yield "is too large to be read"


def _commands_of(content: bytes) -> list[str]:
    """Where instructions say what is run: the text around it names files that are only read."""
    front = _FRONT_MATTER.match(content)
    parts = [front[1]] if front else []
    parts += [inline or block for inline, block in _COMMANDS.findall(content)]
    return [part.decode(errors="replace") for part in parts]


def _files(root: Path) -> Iterator[Path]:
    """Directories, too: a link may lead to where there are no end of them."""
    for directory, _, files in os.walk(root, followlinks=True):
        yield Path(directory)
        yield from (Path(directory) / name for name in sorted(files))


def _opaque(path: Path, directory: Path, top: Path, content: bytes) -> Risk:
    """What we cannot read, another reader may."""
    return Risk(_named(path, directory, top), _digest(content), ("cannot be read as JSON, so all of it counts",))


def _scripts(risky: object, bases: tuple[Path, ...]) -> list[bytes]:
    """The project's own files that the texts name; of links that lead out of it, where they lead."""
    top = bases[-1]
    words = [
        word
        for text in commands_in(risky)
        for word in _WORD.findall(_PROJECT_DIRECTORY.sub(".", text).translate(_QUOTES))
    ]
    digests = dict[str, bytes]()
    for word in dict.fromkeys(words[:MOST_WORDS]):
        for base in bases:
            with suppress(OSError, ValueError):
                named = Path(os.path.normpath(base / word))
                path = (base / word).resolve()
                if named.is_relative_to(top) and not path.is_relative_to(top):
                    digests[os.path.relpath(named, top)] = b"leads to " + os.fsencode(path)
                elif path.is_relative_to(top) and path.is_file() and (content := _content(path)) is not None:
                    digests[os.path.relpath(path, top)] = content
    return [part for name in sorted(digests) for part in (os.fsencode(name), digests[name])]


def _content(path: Path) -> bytes | None:
    """At most one byte too many; None: there is nothing. What is no plain file, or not ours to read, reads as such."""
    try:
        with opened(path) as file:
            return file.read(LARGEST_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return f"unreadable: {error.errno}".encode()


def _parsed(content: bytes) -> object:
    """None: no JSON that we could vouch for."""
    if len(content) > LARGEST_BYTES:
        return None
    if not content.strip():
        return {}
    try:
        return json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def _named(path: Path, directory: Path, top: Path) -> str:
    return _shown(os.path.relpath(path, directory) if path.is_relative_to(top) else str(path))


def _shown(path: str) -> str:
    """Names of files come from strangers, too."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in path)


def _upwards(directory: Path, top: Path) -> list[Path]:
    return [directory, *(place for place in directory.parents if place.is_relative_to(top))]


def _top(directory: Path) -> Path:
    """Of the repository; the directory itself where there is none."""
    places = [directory, *directory.parents]
    return next((place for place in places if (place / ".git").exists()), directory)


def _main_tree(top: Path) -> Path | None:
    """The main work tree of the repository; None: `top` is it."""
    with suppress(OSError, ValueError):
        kind, _, place = (_content(top / ".git") or b"").decode().partition(":")
        if kind == "gitdir":
            git = (top / place.strip()).resolve()
            common = (git / (_content(git / "commondir") or b"").decode().strip()).resolve()
            return common.parent if common.name == ".git" else common
    return None
