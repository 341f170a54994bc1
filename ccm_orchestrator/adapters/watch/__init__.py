"""Wake-ups from the file system: `inotify` where there is it, `polling` elsewhere; `pending` merges what waits."""

import sys

from ccm_orchestrator.adapters.watch.polling import PollingWatch

if sys.platform == "linux":
    from ccm_orchestrator.adapters.watch.inotify import InotifyWatch as FileWatch
else:
    from ccm_orchestrator.adapters.watch.polling import PollingWatch as FileWatch

__all__ = ["FileWatch", "PollingWatch"]
