"""The tmux configuration of our server: no surprise for an agent, no command hidden in a name, kind to a visitor."""

from __future__ import annotations

from ccm_orchestrator.adapters.tmux.commands import CLOCK_OPTION

HISTORY_LINES = 5000
"""About a kilobyte each; the conversation itself is in the agent's transcript."""

WIDTH_AND_HEIGHT = (200, 50)

RUN_OPTION = "@ccm_run"
"""On a window: the run it was opened for."""

PANE_OPTION = "@ccm_agent"
"""On a pane: the same. A person may split the window or move the pane elsewhere."""

HOME_WORDS = "every agent has a window of its own"
"""By which the window is known that keeps the session when there is no agent."""

HOME_WINDOW = (
    "/bin/sh",
    "-c",
    rf"trap '' INT QUIT TSTP; printf '\n  ccm-orchestrator: {HOME_WORDS}.\n"
    r"  Ctrl-b w chooses one, Ctrl-b d leaves (the agents go on).\n'; exec tail -f /dev/null",
)

_CONFIG = f"""\
# Written by ccm-orchestrator at every start: changes are lost.
set -sq exit-empty off
set -sq escape-time 10
set -sq default-terminal "tmux-256color"
set -sq set-clipboard off
set -sq {CLOCK_OPTION} "%s"

set -gq default-command ""
set -gq update-environment ""
set -gq default-size {WIDTH_AND_HEIGHT[0]}x{WIDTH_AND_HEIGHT[1]}
set -gq history-limit {HISTORY_LINES}
set -gq destroy-unattached off
set -gq set-titles off
set -gq mouse on

set -gwq remain-on-exit off
set -gwq allow-rename off
set -gwq automatic-rename off
set -gwq allow-passthrough off
set -gwq window-size latest
set -gwq aggressive-resize on

set -gq status on
set -gq status-left-length 30
set -gq status-left " ccm-orchestrator "
set -gq status-right " %H:%M "
set -gwq window-status-format " #I:#{{?{RUN_OPTION},ccm-#{{=8:{RUN_OPTION}}},-}} "
set -gwq window-status-current-format " #I:#{{?{RUN_OPTION},ccm-#{{=8:{RUN_OPTION}}},-}} "
set -gwq window-status-current-style reverse
"""


def config_text() -> str:
    return _CONFIG
