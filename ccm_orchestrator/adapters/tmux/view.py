"""How a person looks at the windows."""

from __future__ import annotations

import secrets
from pathlib import Path


def view_argv(socket: str, socket_dir: Path | None, session: str, window_id: str | None) -> list[str]:
    """A command that opens a view of our session.

    A view is a session grouped with ours: it shares the windows, has a current window of its own, and goes away when
    it is detached. So nobody's screen changes when somebody else chooses another window.
    """
    view = f"{session}-view-{secrets.token_hex(3)}"
    where = [f"TMUX_TMPDIR={socket_dir}"] if socket_dir else []
    argv = ["env", "-u", "TMUX", *where, "tmux", "-u", "-N", "-L", socket]
    argv += ["has-session", "-t", f"={session}", ";", "new-session", "-A", "-s", view, "-t", f"={session}"]
    argv += [";", "set-option", "-t", f"={view}:", "destroy-unattached", "on"]
    if window_id is not None:
        argv += [";", "select-window", "-t", f"={view}:{window_id}"]
    return argv
