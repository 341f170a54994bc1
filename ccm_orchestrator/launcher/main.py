"""The launcher's command: `python -I -S main.py RUN_DIRECTORY`.

Exit codes: 0 the run has its exit record · 73 another launcher has the run · 74 no valid ticket · 78 `launch.json` is
not readable.
"""

from __future__ import annotations

import posix
import sys

sys.path.append(__file__.rsplit("/", 3)[0])

from ccm_orchestrator.launcher.agent import Launch
from ccm_orchestrator.launcher.claim import Refused, redeem_ticket, take_lock
from ccm_orchestrator.launcher.records import Unreadable, parse_object, read_bytes
from ccm_orchestrator.launcher.signals import catch_signals
from ccm_orchestrator.launcher.streams import Window
from ccm_orchestrator.launcher.supervise import carry_out

UNREADABLE = 78


def main(directory: str) -> int:
    window = Window()
    signals = catch_signals()
    try:
        launch = Launch(parse_object(read_bytes(f"{directory}/launch.json").decode()))
        take_lock(directory)
        redeem_ticket(directory)
    except Refused as refusal:
        window.say(str(refusal))
        return refusal.exit_code
    except (OSError, UnicodeDecodeError, Unreadable) as error:
        window.say(f"{directory}/launch.json cannot be used: {error}.")
        return UNREADABLE
    carry_out(launch, directory, signals, window)
    return 0


if __name__ == "__main__":
    posix._exit(main(sys.argv[1]))
