"""Stands for a daemon that looks at every agent all the time: `capturing_daemon.py CONFIG SOCKET_DIR`.

Prints `looking` once it has seen every window; ends only when it is killed.
"""

import asyncio
import sys
from pathlib import Path

from ccm_orchestrator.adapters.tmux.terminal import TmuxTerminal


async def look_for_ever(config: Path, socket_dir: Path) -> None:
    terminal = TmuxTerminal(config, socket_dir=socket_dir, timeout_s=60, control_mode=True)
    await terminal.start()
    refs = [window.ref for window in await terminal.windows() if window.run_id]
    first = True
    while True:
        await asyncio.gather(*(terminal.capture(ref, history_lines=200) for ref in refs * 4))
        if first:
            print("looking", flush=True)
            first = False


if __name__ == "__main__":
    asyncio.run(look_for_ever(Path(sys.argv[1]), Path(sys.argv[2])))
