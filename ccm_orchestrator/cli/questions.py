"""Questions to a person at a terminal."""

from __future__ import annotations

import shutil
import signal
import textwrap
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import typer

from ccm_orchestrator.cli.views.plain import one_line

SHOWN = 15


def agreed(question: str, default: bool, err: bool = False) -> bool:
    """`err`: the question goes to stderr."""
    with _interruptible():
        return typer.confirm(question, default=default, err=err)


def typed(question: str, default: str | None = None, shown: bool = True) -> str:
    """Without white space around it. An empty `default` lets somebody give nothing; `shown` False hides the typing."""
    with _interruptible():
        said = typer.prompt(question, default=default, show_default=bool(default), hide_input=not shown)
    return str(said).strip()


def tell(prose: str) -> None:
    """After an empty line, and broken between words."""
    typer.echo(
        "\n" + textwrap.fill(prose, shutil.get_terminal_size().columns, break_long_words=False, break_on_hyphens=False)
    )


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C ends the question, and the command. An event loop answers it by cancelling a task, which waits for the
    answer: it would not be heard."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)


def choice(question: str, options: Sequence[tuple[str, str]], default: str) -> str:
    """`options`: word and explanation. A number or the word chooses."""
    tell(question)
    words = [word for word, _ in options]
    for number, (word, explanation) in enumerate(options, 1):
        typer.echo(f"  {number}. {word:<10} {explanation}")
    while True:
        said = typed("Your choice", str(words.index(default) + 1)).lower()
        if said in words:
            return said
        if said.isascii() and said.isdigit() and 1 <= int(said) <= len(words):
            return words[int(said) - 1]
        typer.echo(f"Give a number from 1 to {len(words)}, or one of: {', '.join(words)}.")


def whole_number(question: str, default: int) -> int:
    while True:
        said = typed(f"\n{question}", str(default))
        if said.isascii() and said.isdigit() and int(said) > 0:
            return int(said)
        typer.echo("Give a number from 1.")


def some_of(question: str, found: Sequence[Path]) -> tuple[Path, ...]:
    """Numbers, paths, `all`; nothing: none."""
    tell(question)
    for number, path in enumerate(found[:SHOWN], 1):
        typer.echo(f"  {number:>2}. {one_line(path)}")
    if len(found) > SHOWN:
        typer.echo(f"      and {len(found) - SHOWN} more; give their paths.")
    while True:
        said = typed("Numbers or paths, separated by spaces; `all`; Enter: none", "")
        chosen = [_one(word, found) for word in said.split()]
        if said.lower() == "all":
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
