"""Reading the list of panes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ccm_orchestrator.adapters.tmux.commands import Command, Request, Server
from ccm_orchestrator.adapters.tmux.config import PANE_OPTION, WIDTH_AND_HEIGHT
from ccm_orchestrator.domain.run import is_run_id
from ccm_orchestrator.ports.terminal import WindowInfo

_FIELDS = (
    "window_id",
    "pane_id",
    "pane_pid",
    "pane_dead",
    PANE_OPTION,
    "window_width",
    "window_height",
    "window_active_clients",
    "window_activity",
    "window_name",  # last, as anybody may write it
)

LIST_PANES: Command = ("list-panes", "-a", "-F", "\t".join(f"#{{{field}}}" for field in _FIELDS))


@dataclass(frozen=True, slots=True)
class PaneRow:
    window_id: str
    pane_id: str
    pane_pid: int
    dead: bool
    run_id: str | None
    size: tuple[int, int]
    watched: bool
    """Somebody has the window before him."""
    last_output_at: int
    name: str


def read_listing(text: str) -> list[PaneRow]:
    """One row per pane; sessions of a group list the same panes again."""
    rows: dict[str, PaneRow] = {}
    for line in text.splitlines():
        if (row := _read_row(line)) is not None:
            rows.setdefault(row.pane_id, row)
    return list(rows.values())


def _read_row(line: str) -> PaneRow | None:
    fields = line.split("\t", len(_FIELDS) - 1)
    if len(fields) < len(_FIELDS) or not all(field.isdigit() for field in (fields[2], fields[5], fields[6], fields[8])):
        return None
    window_id, pane_id, pid, dead, run_id, width, height, clients, activity, name = fields
    return PaneRow(
        window_id,
        pane_id,
        int(pid),
        dead == "1",
        run_id if is_run_id(run_id) else None,
        (int(width), int(height)),
        clients != "0",
        int(activity),
        name,
    )


def window_infos(server: Server, rows: Iterable[PaneRow]) -> list[WindowInfo]:
    """One per window: of its agent's pane, where it has one."""
    chosen: dict[str, PaneRow] = {}
    for row in rows:
        if row.window_id not in chosen or (row.run_id and not chosen[row.window_id].run_id):
            chosen[row.window_id] = row
    return [
        WindowInfo(server.window(row.window_id), row.name, row.run_id, row.pane_pid, row.dead, row.last_output_at)
        for row in chosen.values()
    ]


def resize_requests(rows: Sequence[PaneRow]) -> list[Request]:
    """Gives agents' windows their size back that nobody looks at any more: a small terminal had shrunk them."""
    width, height = WIDTH_AND_HEIGHT
    return [
        [
            ("resize-window", "-t", row.window_id, "-x", str(width), "-y", str(height)),
            ("set-option", "-w", "-u", "-t", row.window_id, "window-size"),
        ]
        for row in rows
        if row.run_id and not row.watched and row.size != WIDTH_AND_HEIGHT
    ]
