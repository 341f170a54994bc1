"""The numbered steps of the schema: which there are, which a database lacks, and the script to run by hand."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from importlib.resources import files

from ccm_orchestrator.errors import NotFound, SchemaTooNew

RELOAD = "notify pgrst, 'reload schema';"
"""PostgREST learns of new functions by it; hosted projects also notice by themselves, a little later."""


@cache
def shipped_migrations() -> Mapping[str, str]:
    """Their SQL by name, in order. Each may be run again, and writes down its own name in `ccm.migrations`."""
    directory = files("ccm_orchestrator") / "sql" / "supabase"
    scripts = {entry.name.removesuffix(".sql"): entry for entry in directory.iterdir() if entry.name.endswith(".sql")}
    return {name: scripts[name].read_text("utf-8") for name in sorted(scripts)}


def pending(applied: Collection[str], known: Mapping[str, str] | None = None) -> Sequence[str]:
    """Names of those that a database with these still lacks, in order. Raises: SchemaTooNew."""
    names = list(shipped_migrations() if known is None else known)
    foreign = sorted(set(applied) - set(names))
    if foreign:
        raise SchemaTooNew(
            f"The Supabase database has the migration {foreign[-1]}, which this ccm-orchestrator does not know "
            f"(it knows up to {names[-1]}): upgrade it on this machine.",
            migration=foreign[-1],
        )
    return [name for name in names if name not in applied]


def script(names: Sequence[str]) -> str:
    """One text for `psql` or the dashboard's SQL editor. Raises: NotFound."""
    known = shipped_migrations()
    for name in names:
        if name not in known:
            raise NotFound(f"There is no migration {name!r}; `ccm-orchestrator db sql` prints those there are.")
    parts = [f"-- {name}.sql\n\n{known[name].rstrip()}\n" for name in names]
    return "\n".join([*parts, f"{RELOAD}\n"]) if parts else ""
