"""Questions to a person at a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from ccm_orchestrator.cli.views.plain import one_line

SHOWN = 15


def choice(question: str, options: Sequence[tuple[str, str]], default: str) -> str:
    """`options`: word and explanation. A number or the word chooses."""
    typer.echo(f"\n{question}")
    words = [word for word, _ in options]
    for number, (word, explanation) in enumerate(options, 1):
        typer.echo(f"  {number}. {word:<10} {explanation}")
    while True:
        said = str(typer.prompt("Your choice", default=str(words.index(default) + 1))).strip().lower()
        if said in words:
            return said
        if said.isascii() and said.isdigit() and 1 <= int(said) <= len(words):
            return words[int(said) - 1]
        typer.echo(f"Give a number from 1 to {len(words)}, or one of: {', '.join(words)}.")


def whole_number(question: str, default: int) -> int:
    while True:
        said = str(typer.prompt(f"\n{question}", default=str(default))).strip()
        if said.isascii() and said.isdigit() and int(said) > 0:
            return int(said)
        typer.echo("Give a number from 1.")


def some_of(question: str, found: Sequence[Path]) -> tuple[Path, ...]:
    """Numbers, paths, `all`; nothing: none."""
    typer.echo(f"\n{question}")
    for number, path in enumerate(found[:SHOWN], 1):
        typer.echo(f"  {number:>2}. {one_line(path)}")
    if len(found) > SHOWN:
        typer.echo(f"      and {len(found) - SHOWN} more; give their paths.")
    while True:
        said = str(
            typer.prompt("Numbers or paths, separated by spaces; `all`; Enter: none", default="", show_default=False)
        )
        chosen = [_one(word, found) for word in said.split()]
        if said.strip().lower() == "all":
            return tuple(found)
        if wrong := [word for word, path in zip(said.split(), chosen, strict=True) if path is None]:
            typer.echo(f"{wrong[0]!r} is neither a number from the list nor a directory.")
            continue
        return tuple(path for path in chosen if path is not None)


def _one(word: str, found: Sequence[Path]) -> Path | None:
    if word.isascii() and word.isdigit():
        return found[int(word) - 1] if 1 <= int(word) <= len(found) else None
    path = Path(word).expanduser().resolve()
    return path if path.is_dir() else None
