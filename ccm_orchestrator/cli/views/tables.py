"""What tables have in common: no frames, so that they can be read, copied and cut."""

from __future__ import annotations

from rich.table import Table


def listing(*columns: str, elastic: str = "") -> Table:
    """Columns are shown whole but for the elastic one, which is cut at the width of the terminal."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in columns:
        if column == elastic:
            table.add_column(column, no_wrap=True, overflow="ellipsis", ratio=1)
        else:
            table.add_column(column, no_wrap=True, overflow="fold")
    table.expand = bool(elastic)
    return table


def facts() -> Table:
    """Names at the left, values at the right."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    return table
