"""What every command has in common: the configuration, where output goes, and how errors become exit codes."""

from __future__ import annotations

import asyncio
import errno
import inspect
import json
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console, RenderableType

from ccm_orchestrator.cli.exits import Exit, exit_of
from ccm_orchestrator.cli.lazily import Heavy, load
from ccm_orchestrator.cli.views.plain import plain, text
from ccm_orchestrator.errors import OrchestratorError

if TYPE_CHECKING:
    from ccm_orchestrator.settings import Settings

PIPE_WIDTH = 160
"""Columns of a table that nobody looks at on a terminal."""

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Where the output goes to."""

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON: the same that the API answers.")]
QuietFlag = Annotated[bool, typer.Option("--quiet", "-q", help="Print ids only, or nothing.")]

Handler = Callable[..., Awaitable[Exit | None]]


@dataclass(frozen=True)
class Session:
    """One call of the program."""

    config: Path | None = None
    """The file given with `--config`; None: the user's."""
    as_json: bool = False
    quiet: bool = False

    @cached_property
    def settings(self) -> Settings:
        settings: Settings = load(Heavy.LOAD_SETTINGS)(self.config)
        return settings

    @cached_property
    def out(self) -> Console:
        return _console(stderr=False)

    @cached_property
    def err(self) -> Console:
        return _console(stderr=True)

    def show(self, data: object, view: RenderableType | Callable[[], RenderableType | None], ids: str = "") -> None:
        """Prints `data` as JSON, or `ids` when quiet, or the view for a person."""
        if self.as_json:
            print_json(data)
        elif self.quiet:
            if ids:
                typer.echo(plain(ids))
        else:
            shown = view() if callable(view) else view
            if shown is not None:
                self.out.print(text(shown) if isinstance(shown, str) else shown)

    def note(self, sentence: str) -> None:
        """Something a person should know, on stderr."""
        if not self.quiet:
            self.err.print(plain(sentence), markup=False, highlight=False, style="yellow", soft_wrap=True)


def print_json(data: object) -> None:
    """What a terminal would obey (JSON itself lets C1 controls and marks of direction through) is escaped."""
    lines = json.dumps(data, indent=2, ensure_ascii=(sys.stdout.encoding or "").lower() != "utf-8").split("\n")
    typer.echo("\n".join(map(escaped, lines)))


def escaped(line: str) -> str:
    """A line of JSON that says the same."""
    return line if line.isprintable() else "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in line)


def command(app: typer.Typer, name: str, **details: Any) -> Callable[[Handler], Handler]:
    """Registers an async function as a command. Its first parameter is the Session, the others are Typer's.

    `--json` and `--quiet` are added, errors of ours become one sentence on stderr and an exit code.
    """

    def register(handler: Handler) -> Handler:
        own = list(inspect.signature(handler, eval_str=True).parameters.values())[1:]
        common = [
            inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context),
            *(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own),
            inspect.Parameter("as_json", inspect.Parameter.KEYWORD_ONLY, annotation=JsonFlag, default=False),
            inspect.Parameter("quiet", inspect.Parameter.KEYWORD_ONLY, annotation=QuietFlag, default=False),
        ]

        def invoke(ctx: typer.Context, as_json: bool, quiet: bool, **arguments: Any) -> None:
            session = Session(ctx.obj, as_json, quiet)
            raise typer.Exit(finish(session, handler(session, **arguments)))

        invoke.__doc__ = handler.__doc__
        invoke.__annotations__ = {parameter.name: parameter.annotation for parameter in common}
        invoke.__signature__ = inspect.Signature(common)  # type: ignore[attr-defined]
        app.command(name, **details)(invoke)
        return handler

    return register


def finish(session: Session, work: Awaitable[Exit | None]) -> Exit:
    """Carries the command out; no traceback for what a person can understand from the sentence."""

    try:
        return asyncio.run(_awaited(work)) or Exit.OK
    except OrchestratorError as error:
        report(error)
        return exit_of(error)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        sys.stdout = None  # Python writes what is left once more at the end, and complains
        typer.echo(f"ccm-orchestrator: What there is to say cannot be written: {error.strerror}.", err=True)
        return Exit.FAILED


def report(error: OrchestratorError) -> None:
    """One sentence a line, on stderr."""
    for sentence in error.message.splitlines():
        typer.echo(f"ccm-orchestrator: {plain(sentence)}", err=True)


async def _awaited(work: Awaitable[Exit | None]) -> Exit | None:
    return await work


def _console(stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False, emoji=False)
    if not console.is_terminal and not os.environ.get("COLUMNS"):
        console.width = PIPE_WIDTH
    return console
