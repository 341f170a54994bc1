"""What tables have in common: no frames, so that they can be read, copied and cut."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table

GAP = 2
LEGIBLE = 12
"""Characters of the elastic column below which another one is left out."""


class Listing(Table):
    """Leaves columns out where the terminal is too narrow for all of them: a phone, a pane beside others."""

    def __init__(self, columns: Sequence[str], elastic: str, spare: Sequence[str]) -> None:
        super().__init__(box=None, pad_edge=False, header_style="dim", padding=(0, GAP, 0, 0))
        self._elastic = elastic
        self._spare = spare
        for column in columns:
            if column == elastic:
                self.add_column(column, no_wrap=True, overflow="ellipsis", ratio=1)
            else:
                self.add_column(column, no_wrap=True, overflow="fold")
        self.expand = bool(elastic)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        left_out: list[str] = []
        spare = [name for name in self._spare if any(column.header == name for column in self.columns)]
        while spare and self._needed(console, options, left_out) > options.max_width:
            left_out.append(spare.pop(0))
        shown = self._without(left_out) if left_out else self
        yield from Table.__rich_console__(shown, console, options)

    def _needed(self, console: Console, options: ConsoleOptions, left_out: Collection[str]) -> int:
        widths = []
        for column in self.columns:
            if column.header not in left_out:
                cells = [column.header, *column.cells]
                width = max(Measurement.get(console, options, cell).maximum for cell in cells)
                widths.append(min(width, LEGIBLE) if column.header == self._elastic else width)
        return sum(widths) + GAP * (len(widths) - 1)

    def _without(self, left_out: Collection[str]) -> Listing:
        kept = [column for column in self.columns if column.header not in left_out]
        narrow = Listing([str(column.header) for column in kept], self._elastic, ())
        for cells in zip(*(column.cells for column in kept), strict=True):
            narrow.add_row(*cells)
        return narrow


def listing(*columns: str, elastic: str = "", spare: Sequence[str] = ()) -> Listing:
    """Columns are shown whole but for the elastic one, which is cut at the width of the terminal. Where that is too
    narrow, the spare ones are left out, in that order."""
    return Listing(columns, elastic, spare)


def facts() -> Table:
    """Names at the left, values at the right."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    return table
