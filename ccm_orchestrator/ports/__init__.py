"""What the engine needs of the world, as operations.

Adapters implement these; `ccm_orchestrator.fakes` holds the in-memory ones, which pass the same conformance suites.
Every operation may be awaited from any event loop of the process. Errors are those of `errors.py`: an adapter lets no
foreign exception through.

`tasks` the queue · `journal` local runs and the event log · `terminal` windows · `launching` run directories and
wake-ups · `agents` drivers · `world` clock and repository
"""
