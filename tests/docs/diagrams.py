"""The diagrams of the pages: `make docs` draws them anew, a test compares them with the tables in the code."""

from __future__ import annotations

from collections.abc import Mapping

from tests.docs.drawing import Arrow, Box, Drawing
from tests.docs.source import CHECKOUT

_GREEN, _RED, _BLUE, _YELLOW, _GREY = "#dafbe1", "#ffebe9", "#ddf4ff", "#fff8c5", "#f6f8fa"

PICTURE = Drawing(
    "A task is claimed by the daemon, which opens a tmux window with a launcher and the agent in it. "
    "Hooks of the agent come back to the daemon as files.",
    (720, 300),
    (
        Box("task", 20, 40, 150, 50, _BLUE, note="a row, queued"),
        Box("daemon", 270, 40, 190, 50, _GREEN, note="may die at any instant"),
        Box("outcome", 550, 40, 150, 50, _BLUE, note="in the same row"),
        Box("tmux server", 20, 160, 680, 120, _GREY, members=("window",)),
        Box("window", 50, 205, 130, 50, note="you may attach"),
        Box("launcher", 290, 205, 150, 50, note="outlives the daemon"),
        Box("agent", 550, 205, 130, 50, _YELLOW, note="claude, or other"),
    ),
    (
        Arrow("task", "daemon", "claim, lease"),
        Arrow("daemon", "outcome", "settle"),
        Arrow("daemon", "window", "opens", ((300, 90), (300, 130), (150, 130), (150, 205)), (220, 124)),
        Arrow("window", "launcher", "runs"),
        Arrow("launcher", "agent", "starts"),
        Arrow("agent", "daemon", "hooks, as files", ((615, 205), (615, 130), (430, 130), (430, 90)), (530, 124)),
    ),
)

_ABOVE = ((752, 147), (752, 12), (60, 12), (60, 120))
_BELOW = ((35, 154), (35, 300), (10, 300), (10, 380), (700, 380), (700, 234))
TASKS = Drawing(
    "States of a task: queued, claimed, running, waiting, and at the end succeeded, failed or cancelled; "
    "orphaned when the lease ran out; held when a person or a time is waited for.",
    (760, 400),
    (
        Box("queued", 20, 120, 110, fill=_BLUE),
        Box("leased", 220, 30, 340, 220, _GREY, ("claimed", "running", "waiting", "orphaned")),
        Box("claimed", 240, 70, 110),
        Box("running", 425, 70, 110, fill=_GREEN),
        Box("waiting", 425, 185, 110, fill=_YELLOW),
        Box("orphaned", 240, 185, 110),
        Box("held", 20, 330, 110, fill=_YELLOW),
        Box("succeeded", 630, 60, 110, fill=_GREEN),
        Box("failed", 630, 130, 110, fill=_RED),
        Box("cancelled", 630, 200, 110, fill=_GREY),
    ),
    (
        Arrow("queued", "claimed", "taken", ((110, 120), (110, 82), (240, 82)), (150, 76)),
        Arrow("claimed", "running", way=((350, 82), (425, 82))),
        Arrow("running", "waiting", way=((465, 104), (465, 185))),
        Arrow("waiting", "running", way=((495, 185), (495, 104))),
        Arrow("leased", "orphaned", "lease ran out", ((295, 250), (295, 219)), (295, 268)),
        Arrow("orphaned", "claimed", way=((295, 185), (295, 104))),
        Arrow("orphaned", "running", way=((335, 185), (425, 100))),
        Arrow("orphaned", "waiting", way=((350, 202), (425, 202))),
        Arrow("leased", "queued", "given back", ((220, 140), (130, 140)), (175, 134)),
        Arrow("leased", "held", "a person or a time is needed", ((420, 250), (420, 338), (130, 338)), (290, 330)),
        Arrow("leased", "succeeded", way=((560, 77), (630, 77))),
        Arrow("leased", "failed", way=((560, 147), (630, 147))),
        Arrow("leased", "cancelled", way=((560, 217), (630, 217))),
        Arrow("queued", "held", way=((50, 154), (50, 330))),
        Arrow("held", "queued", "released", ((90, 330), (90, 154)), (124, 250)),
        Arrow("held", "cancelled", way=((130, 356), (670, 356), (670, 234))),
        Arrow(
            "queued",
            "cancelled",
            "stopped",
            ((35, 154), (35, 300), (10, 300), (10, 380), (700, 380), (700, 234)),
            (560, 374),
        ),
        Arrow(
            "failed",
            "queued",
            "retried by a person",
            ((740, 147), (752, 147), (752, 12), (60, 12), (60, 120)),
            (400, 26),
        ),
        Arrow("cancelled", "queued", way=((740, 217), (752, 217), (752, 12), (60, 12), (60, 120))),
    ),
)

_STARTING = ("spawning", "initializing", "unknown")
AGENTS = Drawing(
    "States of an agent: spawning, initializing, or unknown after an adoption; then working and waiting; complete or "
    "error when a turn ended; gone when the process vanished.",
    (760, 400),
    (
        Box("alive", 20, 20, 500, 300, "#ffffff", (*_STARTING, "working", "waiting")),
        Box("starting", 40, 55, 180, 240, _GREY, _STARTING),
        Box("spawning", 65, 90, 130),
        Box("initializing", 65, 165, 130),
        Box("unknown", 65, 240, 130, fill=_GREY),
        Box("working", 360, 90, 130, fill=_GREEN),
        Box("waiting", 360, 240, 130, fill=_YELLOW),
        Box("the turn ended", 590, 55, 150, 240, _GREY, ("complete", "error")),
        Box("complete", 605, 90, 120, fill=_GREEN),
        Box("error", 605, 240, 120, fill=_RED),
        Box("gone", 605, 345, 120, fill=_GREY),
    ),
    (
        Arrow("spawning", "initializing"),
        Arrow("starting", "working", way=((220, 107), (360, 107))),
        Arrow("starting", "waiting", way=((220, 257), (360, 257))),
        Arrow("working", "waiting", "asks", ((400, 124), (400, 240)), (378, 186)),
        Arrow("waiting", "working", "answered", ((450, 240), (450, 124)), (484, 186)),
        Arrow("alive", "complete", way=((520, 100), (605, 100))),
        Arrow("alive", "error", way=((520, 250), (605, 250))),
        Arrow("alive", "gone", "vanished", ((300, 320), (300, 362), (605, 362)), (450, 356)),
        Arrow("complete", "error", way=((645, 124), (645, 240))),
        Arrow("error", "complete", way=((690, 240), (690, 124))),
        Arrow("gone", "error", way=((665, 345), (665, 274))),
        Arrow("the turn ended", "working", way=((590, 118), (490, 118))),
        Arrow("the turn ended", "waiting", way=((590, 266), (490, 266))),
    ),
)

DIAGRAMS: Mapping[str, Drawing] = {"picture.svg": PICTURE, "task-states.svg": TASKS, "agent-states.svg": AGENTS}
PLACE = CHECKOUT / "docs" / "diagrams"


def write_diagrams() -> None:
    PLACE.mkdir(exist_ok=True)
    for name, drawing in DIAGRAMS.items():
        (PLACE / name).write_text(drawing.svg())


if __name__ == "__main__":
    write_diagrams()
