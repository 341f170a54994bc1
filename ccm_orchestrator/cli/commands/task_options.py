"""What can be said of a new task on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Prompt = Annotated[
    str | None, typer.Argument(metavar="PROMPT", help="What the agent is to do; `-` reads it from stdin.")
]
PromptFile = Annotated[
    Path | None, typer.Option("--file", "-f", metavar="FILE", help="Read the prompt from a file (UTF-8).")
]
Project = Annotated[
    str | None, typer.Option("--project", "-p", help="Registered project; default: the one you are in.")
]
Profile = Annotated[str | None, typer.Option(help="Profile; default: the project's, else `executor`.")]
Model = Annotated[str | None, typer.Option(help="Model; default: the profile's.")]
Priority = Annotated[int, typer.Option(help="Higher goes first; from -1000 to 1000.")]
RunAfter = Annotated[str | None, typer.Option(metavar="WHEN", help="Not before: `30m`, `2h`, `1d`, or an ISO time.")]
After = Annotated[
    list[str] | None, typer.Option(metavar="TASK", help="Not before this task has succeeded; repeatable.")
]
DedupKey = Annotated[
    str | None, typer.Option(metavar="KEY", help="While a task with this key has not ended, it is returned.")
]
MaxAttempts = Annotated[int, typer.Option(help="Tries before the task fails; from 1 to 20.")]
TimeLimit = Annotated[float | None, typer.Option("--time-limit", metavar="SECONDS", help="Longest time of one run.")]
Budget = Annotated[float | None, typer.Option("--budget", metavar="USD", help="US dollars that one run may cost.")]
Tags = Annotated[list[str] | None, typer.Option("--tag", help="A word to find the task by; repeatable.")]
Labels = Annotated[list[str] | None, typer.Option("--label", help="What a machine must have to take it; repeatable.")]
System = Annotated[str | None, typer.Option(help="The machine meant to run it; default: any.")]
Store = Annotated[
    str | None, typer.Option("--store", help="`supabase`: where other machines may take it; default: the embedded one.")
]
IdempotencyKey = Annotated[
    str | None, typer.Option(metavar="KEY", help="Repeating the command with the same key adds nothing.")
]
Wait = Annotated[bool, typer.Option("--wait", help="Wait for its end, as `task wait` does.")]
