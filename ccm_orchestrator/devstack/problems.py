"""What can go wrong with the local Supabase."""

from __future__ import annotations

from ccm_orchestrator.errors import OrchestratorError


class DevStackError(OrchestratorError):
    """The local Supabase failed."""


class ProgramMissing(DevStackError):
    """A program that the local Supabase needs is missing."""
