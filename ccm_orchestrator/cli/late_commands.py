"""Commands that are imported when they are called, listed or completed: `task list` does not wait for `init`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperGroup

from ccm_orchestrator.cli.lazily import load_commands


@dataclass(frozen=True, slots=True)
class Group:
    """Commands that are called by a word before their own."""

    help: str
    commands: Tree


Tree = Mapping[str, "str | Group"]
"""Names, in the order of `--help`, with the module of `commands` that registers the command, or what is below."""


class LateCommands(Mapping[str, Any]):
    """What Typer keeps by name."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = _made(name, self._tree[name])
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tree)

    def __len__(self) -> int:
        return len(self._tree)

    def __contains__(self, name: object) -> bool:
        return name in self._tree


def late_group(tree: Tree) -> type[TyperGroup]:
    """For the `cls` of Typer."""

    class LateGroup(TyperGroup):
        def __init__(self, **details: Any) -> None:
            super().__init__(**details)
            self.commands = LateCommands(tree)  # type: ignore[assignment]  # Typer adds no commands later

    return LateGroup


def _made(name: str, of: str | Group) -> Any:
    if isinstance(of, Group):
        group = typer.Typer(name=name, cls=late_group(of.commands), help=of.help, no_args_is_help=True)
        return typer.main.get_group(group)
    registered = typer.Typer()
    load_commands(of)(registered)
    return typer.main.get_group(registered).commands[name]
