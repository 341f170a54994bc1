"""`python -m ccm_orchestrator` is `ccm-orchestrator`."""

from ccm_orchestrator.cli import main

if __name__ == "__main__":
    main()
