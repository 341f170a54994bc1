"""`python -m ccm_orchestrator.cli` is `ccm-orchestrator`."""

from ccm_orchestrator.cli import main

main()
