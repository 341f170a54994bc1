"""`completion`"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer
from typer._completion_shared import get_completion_script

PROGRAM = "ccm-orchestrator"


class Shell(StrEnum):
    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def add_to(app: typer.Typer) -> None:
    app.command("completion")(completion)


def completion(shell: Annotated[Shell, typer.Argument(help="For which shell.")]) -> None:
    """Print what makes a shell complete commands and options.

    Example: ccm-orchestrator completion bash > ~/.local/share/bash-completion/completions/ccm-orchestrator
    """
    typer.echo(completion_script(shell))


def completion_script(shell: Shell) -> str:
    wanted = {"prog_name": PROGRAM, "complete_var": "_CCM_ORCHESTRATOR_COMPLETE", "shell": shell.value}
    return get_completion_script(**wanted)
