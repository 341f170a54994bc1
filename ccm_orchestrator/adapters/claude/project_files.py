"""What the files of a directory would make Claude Code do there on its own.

In print mode it runs the hooks of a repository, starts its MCP servers and takes over its variables without asking; in
a conversation it does so once the directory is trusted. It reads `.mcp.json` in every directory above, too; agents,
commands and skills up to the top of the repository, and in all directories above where there is none; in a linked work
tree those and the local settings of the main one; and skills below, beside the files that an agent touches. This module
looks where it looks, and a little further.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ccm_orchestrator.adapters.claude.file_digests import (
    LARGEST_BYTES,
    TooMuch,
    all_of,
    content_of,
    digest_of,
    file_mark,
    files_below,
    is_directory,
    tree_marks,
)
from ccm_orchestrator.adapters.claude.instructions import commands_in_instructions, effects_of_instructions
from ccm_orchestrator.adapters.claude.named_files import marketplace_marks, script_marks
from ccm_orchestrator.adapters.claude.nested_skills import NestedSkills
from ccm_orchestrator.adapters.claude.risky_settings import (
    commands_in,
    effects_of_servers,
    effects_of_settings,
    risky_part,
    risky_servers,
)
from ccm_orchestrator.domain.trust import Risk

SETTINGS = (".claude/settings.json", ".claude/settings.local.json")
SERVERS = ".mcp.json"
SKILLS = ".claude/skills"
INSTRUCTIONS = (".claude/agents", ".claude/commands", SKILLS)
PROGRAMS = (".claude/workflows", ".claude/scheduled_tasks.json")
PLUGIN = ".claude-plugin/plugin.json"
_HOOKS = "hooks/hooks.json"
_CONFIGURATION = (PLUGIN, _HOOKS, SERVERS, ".lsp.json", "monitors/monitors.json")


@dataclass(frozen=True, slots=True)
class ProjectFiles:
    """Of one agent's user."""

    nested: NestedSkills
    own: Path
    """The user's own configuration directory, which is no project's."""

    def risks(self, directory: Path) -> tuple[Risk, ...]:
        """By file. Blocking; never raises for what it finds there."""
        directory = directory.resolve()
        top = _top(directory)
        tree = _Tree(directory, top or directory)
        found = list[Risk]()
        for place in tree.upwards():
            found += [*tree.settings(place, SETTINGS), *tree.servers(place), *tree.instructions(place)]
        found += self._above(tree, top is None)
        found += self._below(tree)
        main = _main_tree(tree.top)
        if main is not None:
            within = _Tree(main / directory.relative_to(tree.top), main)
            for place in within.upwards():
                found += [*within.settings(place, SETTINGS[1:]), *within.instructions(place)]
        return tuple({risk.key: risk for risk in found}.values())

    def _above(self, tree: _Tree, everything: bool) -> Iterator[Risk]:
        for place in tree.top.parents:
            yield from tree.servers(place)
            if everything and os.path.realpath(place / ".claude") != os.path.realpath(self.own):
                yield from tree.instructions(place)

    def _below(self, tree: _Tree) -> Iterator[Risk]:
        try:
            places = self.nested.places(tree.directory)
        except TooMuch as much:
            yield Risk(".", "too much", (much.reason,), approvable=False)
            return
        for place in places:
            yield from tree.instructions(place, (SKILLS,))


@dataclass(frozen=True, slots=True)
class _Tree:
    directory: Path
    top: Path

    def upwards(self) -> list[Path]:
        above = (place for place in self.directory.parents if place.is_relative_to(self.top))
        return [self.directory, *above]

    def settings(self, place: Path, files: Iterable[str]) -> Iterator[Risk]:
        for name in files:
            yield from self._document(place, name, risky_part, effects_of_settings)

    def servers(self, place: Path) -> Iterator[Risk]:
        yield from self._document(place, SERVERS, risky_servers, effects_of_servers)

    def instructions(self, place: Path, roots: Sequence[str] = (*INSTRUCTIONS, *PROGRAMS)) -> Iterator[Risk]:
        """Agents, commands and skills that bring hooks, rights or commands along; others are texts to be read."""
        for root in roots:
            try:
                yield from self._programs(place, root) if root in PROGRAMS else self._texts(place, root)
            except TooMuch as much:
                yield Risk(self._named(place / root), "too much", (much.reason,), approvable=False)

    def _texts(self, place: Path, root: str) -> Iterator[Risk]:
        for path in files_below(place / root):
            content = content_of(path) if path.name.lower().endswith(".md") else None
            if content is None:
                continue
            effects = [*effects_of_instructions(content)]
            if len(content) > LARGEST_BYTES:
                effects.append("is too large to be read, so all of it counts")
            if effects:
                yield self._risk(path, effects, partial(self._text_parts, path, content, place))
        if root == SKILLS:
            yield from self._plugins(place)

    def _text_parts(self, path: Path, content: bytes, place: Path) -> list[bytes]:
        return [all_of(path, content), *self._scripts(commands_in_instructions(content), path.parent, place)]

    def _plugins(self, place: Path) -> Iterator[Risk]:
        """A skill's directory that has a manifest is a plugin, and runs without being installed or turned on."""
        try:
            paths = sorted((place / SKILLS).iterdir())
        except OSError:  # what may not be listed is no list of plugins for anybody
            return
        for path in paths:
            if os.path.lexists(path / PLUGIN):
                yield self._risk(path, [*_effects_of_plugin(path)], partial(self._plugin_parts, path, place))

    def _plugin_parts(self, plugin: Path, place: Path) -> list[bytes]:
        contents = (content_of(plugin / name) for name in _CONFIGURATION)
        texts = [content.decode(errors="replace") for content in contents if content]
        return [*tree_marks(plugin), *self._scripts(texts, plugin, place)]

    def _programs(self, place: Path, root: str) -> Iterator[Risk]:
        path = place / root
        files = files_below(path) if is_directory(path) else iter([path])
        for file in files:
            mark = file_mark(file)
            if mark is not None:
                effect = "gives agents work at set times" if file == path else "is a program that agents can run"
                yield Risk(self._named(file), digest_of(mark), (effect,))

    def _document(
        self,
        place: Path,
        name: str,
        risky_of: Callable[[object], object],
        effects_of: Callable[[object], Iterable[str]],
    ) -> Iterator[Risk]:
        """Nothing where the file is not there, or harmless."""
        path = place / name
        content = content_of(path)
        if content is None:
            return
        document = _parsed(content)
        if document is None:
            opaque = "cannot be read as JSON, so all of it counts"
            yield self._risk(path, [opaque], lambda: [all_of(path, content)])
        elif (risky := risky_of(document)) != {}:
            yield self._risk(path, [*effects_of(risky)], lambda: self._risky_parts(risky, place))

    def _risky_parts(self, risky: object, place: Path) -> list[bytes]:
        bases = (place, self.directory, self.top)
        canonical = json.dumps(risky, sort_keys=True, separators=(",", ":")).encode()
        return [canonical, *script_marks(commands_in(risky), bases), *marketplace_marks(risky, bases)]

    def _scripts(self, texts: Iterable[str], own: Path, place: Path) -> list[bytes]:
        return script_marks(texts, (own, place, self.directory, self.top))

    def _risk(self, path: Path, effects: Sequence[str], parts: Callable[[], Iterable[bytes]]) -> Risk:
        file = self._named(path)
        try:
            return Risk(file, digest_of(*parts()), tuple(effects))
        except TooMuch as much:
            return Risk(file, "too much", (*effects, much.reason), approvable=False)

    def _named(self, path: Path) -> str:
        return _shown(os.path.relpath(path, self.directory) if path.is_relative_to(self.top) else str(path))


def _effects_of_plugin(plugin: Path) -> Iterator[str]:
    yield "is a plugin, all files of which count"
    hooks, servers = (_parsed(content_of(plugin / name) or b"") for name in (_HOOKS, SERVERS))
    yield from effects_of_settings(hooks) if isinstance(hooks, dict) and "hooks" in hooks else ()
    yield from effects_of_servers(servers) if servers else ()


def _parsed(content: bytes) -> object:
    """None: no JSON that we could vouch for."""
    if len(content) > LARGEST_BYTES:
        return None
    if not content.strip():
        return {}
    try:
        return json.loads(content.decode("utf-8-sig"), object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return None


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Which of two settings of one name counts is up to the reader."""
    if len(found := dict(pairs)) < len(pairs):
        raise ValueError("a name occurs twice")
    return found


def _shown(path: str) -> str:
    """Names of files come from strangers, too."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in path)


def _top(directory: Path) -> Path | None:
    """Of the repository, where there is one."""
    places = [directory, *directory.parents]
    return next((place for place in places if (place / ".git").exists()), None)


def _main_tree(top: Path) -> Path | None:
    """The main work tree of the repository; None: `top` is it."""
    with suppress(OSError, ValueError):
        kind, _, place = (content_of(top / ".git") or b"").decode().partition(":")
        if kind == "gitdir":
            git = (top / place.strip()).resolve()
            common = (git / (content_of(git / "commondir") or b"").decode().strip()).resolve()
            return common.parent if common.name == ".git" else common
    return None
