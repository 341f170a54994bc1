"""Man pages and shell completions, written by the program itself: `make docs` writes them, a test compares them."""

import re
from collections.abc import Mapping
from typing import Any

import typer.main

from ccm_orchestrator.cli.app import EPILOG, app
from ccm_orchestrator.cli.commands.completion import Shell, completion_script
from tests.docs.pages import PROGRAM, Parameter, argument_name, leaves, meaning
from tests.docs.source import CHECKOUT

_SEE_ALSO = "tmux(1), git(1)"
COMPLETIONS = {Shell.BASH: PROGRAM, Shell.ZSH: f"_{PROGRAM}", Shell.FISH: f"{PROGRAM}.fish"}
"""How each shell wants the file to be called."""


def manuals() -> Mapping[str, str]:
    """File name → text: one page of the whole, and one for each group of commands."""
    root: Any = typer.main.get_command(app)
    groups = {name: inner for name, inner in root.commands.items() if hasattr(inner, "commands")}
    pages = {f"{PROGRAM}.1": _main_page(root, groups)}
    for name, group in groups.items():
        pages[f"{PROGRAM}-{name}.1"] = _group_page(name, group)
    return pages


def completions() -> Mapping[str, str]:
    return {name: completion_script(shell) + "\n" for shell, name in COMPLETIONS.items()}


def _main_page(root: Any, groups: Mapping[str, Any]) -> str:
    single = [(name, inner) for name, inner in root.commands.items() if name not in groups and not inner.hidden]
    lines = [*_head(PROGRAM, _first_sentence(root.help)), ".SH OPTIONS", *_options(root.params), ".SH COMMANDS"]
    for name, inner in single:
        lines += _command(name, inner)
    lines += [".SH GROUPS OF COMMANDS"]
    for name, group in groups.items():
        lines += [".TP", rf"\fB{_text(f'{PROGRAM}-{name}')}\fR(1)", _text(_first_sentence(group.help))]
    lines += [".SH EXIT STATUS", _text(EPILOG.removeprefix("Exit codes: ").replace(" · ", "; "))]
    pages = [rf"\fB{_text(f'{PROGRAM}-{name}')}\fR(1)" for name in sorted(groups)]
    return "\n".join([*lines, ".SH SEE ALSO", ",\n".join(pages) + ",", _SEE_ALSO, ""])


def _group_page(name: str, group: Any) -> str:
    lines = [*_head(f"{PROGRAM}-{name}", _first_sentence(group.help)), ".SH COMMANDS"]
    for words, inner in leaves(name, group):
        lines += _command(words, inner)
    return "\n".join([*lines, ".SH SEE ALSO", rf"\fB{_text(PROGRAM)}\fR(1)", ""])


def _head(title: str, about: str) -> list[str]:
    words = title.replace(f"{PROGRAM}-", f"{PROGRAM} ")
    return [
        f'.TH "{title.upper()}" 1 "" "{PROGRAM}" "User Commands"',
        ".SH NAME",
        rf"{_text(title)} \- {_text(about.rstrip('.'))}",
        ".SH SYNOPSIS",
        rf"\fB{_text(words)}\fR [\fIOPTIONS\fR] \fICOMMAND\fR",
    ]


def _command(words: str, command: Any) -> list[str]:
    shown = [parameter for parameter in command.params if not getattr(parameter, "hidden", False)]
    arguments = " ".join(rf"\fI{_text(argument_name(p))}\fR" for p in shown if not p.opts[0].startswith("-"))
    lines = [f'.SS "{words}"', rf"\fB{_text(f'{PROGRAM} {words}')}\fR {arguments}".rstrip()]
    for paragraph in re.split(r"\n\s*\n", (command.help or "").strip()):
        lines += [".PP", _text(" ".join(paragraph.split()))]
    return [*lines, *_options(shown)]


def _options(parameters: list[Parameter]) -> list[str]:
    lines = []
    for parameter in parameters:
        is_option = parameter.opts[0].startswith("-")
        names = ", ".join((*parameter.opts, *parameter.secondary_opts)) if is_option else argument_name(parameter)
        value = rf" \fI{_text(parameter.metavar)}\fR" if is_option and parameter.metavar else ""
        lines += [".TP", rf"\fB{_text(names)}\fR{value}", _text(meaning(parameter).replace("`", "") or "(see above)")]
    return lines


def _first_sentence(text: str | None) -> str:
    return " ".join((text or "").split("\n\n")[0].split())


def _text(text: str) -> str:
    """As troff shows it unchanged."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-").replace("…", "...").replace("·", ";").replace("→", "to")
    return re.sub(r"^([.'])", r"\\&\1", escaped)


def write_manuals() -> None:
    for directory, files in (("man", manuals()), ("completions", completions())):
        place = CHECKOUT / directory
        place.mkdir(exist_ok=True)
        for stale in set(place.iterdir()) - {place / name for name in files}:
            stale.unlink()
        for name, text in files.items():
            (place / name).write_text(text)


if __name__ == "__main__":
    write_manuals()
