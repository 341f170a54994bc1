"""The peer of `watching`: captures every pane through libtmux, each second.

python -m benchmarks.libtmux_poller SOCKET_NAME     (TMUX_TMPDIR as for tmux)
"""

import sys
import time

import libtmux

PERIOD_S = 1.0


def main() -> None:
    server = libtmux.Server(socket_name=sys.argv[1])
    while True:
        started_s = time.monotonic()
        for pane in server.panes:
            pane.capture_pane()
        time.sleep(max(0.0, PERIOD_S - (time.monotonic() - started_s)))


if __name__ == "__main__":
    main()
