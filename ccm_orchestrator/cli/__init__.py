"""The command line.

Every command but `serve`, `demo`, `config` and `doctor` is a client of the API. When no daemon runs, `offline` serves
the same API in this very process on top of the database, so that the commands work, and print the same, either way.
"""

import sys

from ccm_orchestrator import __version__
from ccm_orchestrator.cli.lazily import Heavy, load
from ccm_orchestrator.cli.serving import plainly_asked, serve_plainly


def main() -> None:
    """The program `ccm-orchestrator`."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not when a test captures it
            stream.reconfigure(errors="backslashreplace")
    if sys.argv[1:] == ["--version"]:
        sys.stdout.write(f"ccm-orchestrator {__version__}\n")
        return
    if plainly_asked(sys.argv[1:]):
        sys.exit(serve_plainly())
    load(Heavy.TREE)(prog_name="ccm-orchestrator")
