"""The project's own files that a text has run: scripts by their names, plugins by their directories."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from ccm_orchestrator.adapters.claude.file_digests import TooMuch, file_mark, tree_marks
from ccm_orchestrator.adapters.claude.risky_settings import commands_in

MOST_WORDS = 20_000
_WORD = re.compile(r"[^\s`;|&()<>=]+")
_PART = re.compile(r"[^\s`;|&()<>=,:*\[\]{}]+")
_QUOTES = str.maketrans("", "", "\"'\\")
_OWN_DIRECTORY = re.compile(r"\$\{?CLAUDE_[A-Z_]*(?:DIR|ROOT)\}?")
_MARKETPLACES = "extraKnownMarketplaces"
_MANIFESTS = ".claude-plugin"

Bases = tuple[Path, ...]
"""Where names may be relative to; the last one is the top of the repository."""


def script_marks(texts: Iterable[str], bases: Bases) -> list[bytes]:
    """Of links that lead out of the project, where they lead. Raises: TooMuch."""
    top, marks = bases[-1], dict[str, bytes]()
    for word in _words(texts):
        for base in bases:
            with suppress(OSError, ValueError):
                if not os.path.lexists(base / word):
                    continue
                named, path = Path(os.path.normpath(base / word)), Path(os.path.realpath(base / word))
                if named.is_relative_to(top) and not path.is_relative_to(top):
                    marks[os.path.relpath(named, top)] = b"leads to " + os.fsencode(path)
                elif path.is_relative_to(top) and path.is_file() and (mark := file_mark(path)) is not None:
                    marks[os.path.relpath(path, top)] = mark
    return [part for name in sorted(marks) for part in (os.fsencode(name), marks[name])]


def marketplace_marks(risky: object, bases: Bases) -> list[bytes]:
    """Plugins of a marketplace within the project run where they are, as they are. Raises: TooMuch."""
    named = commands_in(risky.get(_MARKETPLACES)) if isinstance(risky, Mapping) else ()
    return [part for root in _roots(named, bases) for part in (os.fsencode(root), *tree_marks(root))]


def _roots(named: Iterable[str], bases: Bases) -> list[Path]:
    found = set[Path]()
    for name in named:
        for base in bases:
            with suppress(OSError, ValueError):
                path = Path(os.path.realpath(base / name))
                if not path.is_relative_to(bases[-1]) or not path.exists():
                    continue
                place = path if path.is_dir() else path.parent
                found.add(place.parent if place.name == _MANIFESTS else place)
    return sorted(found)


def _words(texts: Iterable[str]) -> Iterator[str]:
    """Each once: also with what a rule or a list puts around a name. Raises: TooMuch."""
    seen = set[str]()
    for text in texts:
        plain = _OWN_DIRECTORY.sub(".", text).translate(_QUOTES)
        for pattern in (_WORD, _PART):
            for word in pattern.findall(plain):
                if word not in seen:
                    seen.add(word)
                    if len(seen) > MOST_WORDS:
                        raise TooMuch(f"names more than {MOST_WORDS} things that may be scripts")
                    yield word
