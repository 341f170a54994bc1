"""A real PostgreSQL and a real PostgREST: `supabase` for most tests, `own_supabase` for those that break it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ccm_orchestrator.devstack.programs import Programs, find_programs
from ccm_orchestrator.devstack.stack import LocalSupabase, make_template
from tests.docs.source import CHECKOUT

POSTGREST_HOME = CHECKOUT / ".cache" / "postgrest"


def stack_directory() -> tempfile.TemporaryDirectory[str]:
    """Not below pytest's own directories: where we are root, PostgreSQL is somebody else and could not reach it."""
    directory = tempfile.TemporaryDirectory(prefix="ccm-supabase-", dir="/tmp")
    Path(directory.name).chmod(0o711)
    return directory


@pytest.fixture(scope="session")
def supabase_programs() -> Programs:
    return find_programs(POSTGREST_HOME)


@pytest.fixture(scope="session")
def supabase_template(supabase_programs: Programs) -> Iterator[Path]:
    """A migrated data directory to copy."""
    with stack_directory() as directory:
        yield make_template(supabase_programs, Path(directory))


@pytest.fixture(scope="session")
def supabase_stack(supabase_programs: Programs, supabase_template: Path) -> Iterator[LocalSupabase]:
    """One per process that runs tests."""
    with (
        stack_directory() as directory,
        LocalSupabase(supabase_programs, Path(directory), template=supabase_template) as stack,
    ):
        yield stack


@pytest.fixture
def supabase(supabase_stack: LocalSupabase) -> LocalSupabase:
    """Migrated and without a row, at the real time."""
    supabase_stack.reset()
    return supabase_stack


@pytest.fixture
def own_supabase(supabase_programs: Programs, supabase_template: Path) -> Iterator[LocalSupabase]:
    """A stack of its own, migrated: it may be broken."""
    with (
        stack_directory() as directory,
        LocalSupabase(supabase_programs, Path(directory), template=supabase_template) as stack,
    ):
        yield stack
