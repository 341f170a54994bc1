"""What a person wants of a new installation: from flags, from a file, or from answers to questions."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from ccm_orchestrator.errors import InvalidSettings
from ccm_orchestrator.security.secrets import Secret
from ccm_orchestrator.settings import Settings
from ccm_orchestrator.settings.sources import read_toml
from ccm_orchestrator.settings.types import Count, Directory, ProjectUrl, Slug, Switch, Table

AGENT_BYTES = 700_000_000
"""What an agent at work takes, with what it starts."""


class StoreKind(StrEnum):
    EMBEDDED = "embedded"
    """Tasks come from this machine's own database."""
    SUPABASE = "supabase"
    """And from a Supabase project, which several machines share."""


class ServiceKind(StrEnum):
    USER = "user"
    SYSTEM = "system"
    NONE = "none"


class Wishes(Table):
    """The keys of an answers file. None: not said."""

    store: StoreKind | None = None
    supabase_url: ProjectUrl | None = None
    supabase_key_file: Directory | None = Field(default=None, description="Holds the project's key.")
    supabase_token_file: Directory | None = Field(default=None, description="Holds the proof of who this machine is.")
    projects: tuple[Directory, ...] | None = None
    max_agents: Count | None = None
    notify_url_files: dict[Slug, Directory] | None = Field(
        default=None, description="Files that hold an Apprise URL each, by the name of the target."
    )
    notify_test: Switch | None = None
    service: ServiceKind | None = None
    trial: Switch | None = None


@dataclass(frozen=True, slots=True)
class Decided:
    """Everything is said."""

    store: StoreKind
    supabase_url: str | None
    supabase_key_file: Path | None
    supabase_token_file: Path | None
    projects: tuple[Path, ...]
    max_agents: int
    service: ServiceKind
    trial: bool
    secrets: Mapping[Path, Secret] = field(default_factory=dict)
    """What was typed, by the file that is to hold it."""
    api_port: int | None = None
    """Another one for the API; None: as it is."""
    notify_url_files: Mapping[str, Path] = field(default_factory=dict)
    """Targets of notifications that are to be added or changed: files with their addresses."""
    notify_test: bool = False
    """Send each of these a message at the end."""


def read_wishes(path: Path) -> Wishes:
    """Raises: InvalidSettings, a sentence for each value that cannot be used."""
    return checked_wishes(read_toml(path, must_exist=True), str(path))


def checked_wishes(values: Mapping[str, Any], origin: str) -> Wishes:
    """Raises: InvalidSettings."""
    try:
        return Wishes(**values)
    except ValidationError as error:
        sentences = [_sentence(found["loc"], found["type"], found["msg"], origin) for found in error.errors()]
        raise InvalidSettings("\n".join(sentences)) from error


def _sentence(loc: tuple[int | str, ...], kind: str, message: str, origin: str) -> str:
    key = ".".join(str(part) for part in loc)
    if kind == "extra_forbidden":
        return f"there is no `{key}` ({origin}); there are: {', '.join(Wishes.model_fields)}"
    return f"`{key}` cannot be used ({origin}): {'Input should be a list' if kind == 'tuple_type' else message}"


def combined(stronger: Wishes, weaker: Wishes) -> Wishes:
    return weaker.model_copy(update=stronger.model_dump(exclude_none=True))


def suggested_agents() -> int:
    """As many as this machine's memory and processors carry, up to the default."""
    by_memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // AGENT_BYTES
    return max(1, min(10, by_memory, 4 * (os.cpu_count() or 1)))


def check_decided(decided: Decided, settings: Settings) -> None:
    """Raises: InvalidSettings for what does not go together, or is not there."""
    if decided.store is StoreKind.SUPABASE and decided.supabase_url is None:
        raise InvalidSettings("The store is `supabase`, and no URL is given: say `--supabase-url`.")
    if decided.store is StoreKind.EMBEDDED and settings.supabase.url is not None:
        raise InvalidSettings(
            f"This machine serves the queue of {settings.supabase.url}: to leave it, remove `supabase.url` from the "
            "configuration by hand, once none of its tasks runs here."
        )
    for file in (decided.supabase_key_file, decided.supabase_token_file, *decided.notify_url_files.values()):
        if file is not None and file not in decided.secrets and not file.is_file():
            raise InvalidSettings(f"The file {file}, which is to hold a secret, does not exist.")
    for name, file in decided.notify_url_files.items():
        if file not in decided.secrets and stat.S_IMODE(file.stat().st_mode) & 0o077:
            raise InvalidSettings(f"The file {file}, which holds a secret, is open to other users: `chmod 600 {file}`.")
        if (target := settings.notifications.targets.get(name)) is not None and target.url is not None:
            raise InvalidSettings(
                f"`notifications.targets.{name}.url` is set, and would go before a file: choose another name."
            )
    for project in decided.projects:
        if not project.is_dir():
            raise InvalidSettings(f"The project {project} is no directory of this machine.")
