"""Run directories: what passes between the daemon and its launchers, as files and signals.

`launchpad` the port's implementation · `layout` where everything lies · `ticket` the right to start · `lock` is its
launcher alive · `records` what the launcher left · `spool` hook events · `processes` who is who, and signals
"""

from ccm_orchestrator.adapters.rundir.launchpad import RunDirectories
from ccm_orchestrator.adapters.rundir.layout import Layout

__all__ = ["Layout", "RunDirectories"]
