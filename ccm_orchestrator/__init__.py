"""Hand work to coding agents and walk away: a task row becomes a finished result."""

__version__ = "0.1.0"
