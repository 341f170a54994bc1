"""What has to change for an installation to be as somebody wants it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ccm_orchestrator.errors import InvalidSettings
from ccm_orchestrator.settings import Settings
from ccm_orchestrator.settings.editing import with_value
from ccm_orchestrator.setup.wishes import Decided, StoreKind


@dataclass(frozen=True, slots=True)
class Change:
    """Of one setting. Never of a secret: those stand in files of their own."""

    key: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Plan:
    changes: Sequence[Change]
    secret_files: Sequence[Path]
    projects: Sequence[Path]
    """Those that are not registered yet."""

    @property
    def empty(self) -> bool:
        return not (self.changes or self.secret_files or self.projects)


def plan(decided: Decided, settings: Settings, registered: Sequence[Path]) -> Plan:
    known = {path.resolve() for path in registered}
    wanted = dict.fromkeys(path.resolve() for path in decided.projects)
    return Plan(_changes(decided, settings), tuple(decided.secrets), [path for path in wanted if path not in known])


def changed_document(document: str, changes: Sequence[Change], path: Path) -> str:
    """Comments and everything else stay as they are. Raises: InvalidSettings."""
    for change in changes:
        try:
            document = with_value(document, change.key.split("."), change.after)
        except ValueError as error:
            raise InvalidSettings(f"`{change.key}` cannot be changed ({error}): edit {path} by hand.") from error
    return document


def _changes(decided: Decided, settings: Settings) -> list[Change]:
    wanted: dict[str, tuple[Any, Any]] = {
        "max_agents": (settings.max_agents, decided.max_agents),
        "api.port": (settings.api.port, decided.api_port),
    }
    if decided.store is StoreKind.SUPABASE:
        supabase = settings.supabase
        wanted |= {
            "supabase.url": (supabase.url, decided.supabase_url),
            "supabase.key_file": (_text(supabase.key_file), _text(decided.supabase_key_file)),
            "supabase.system_token_file": (_text(supabase.system_token_file), _text(decided.supabase_token_file)),
        }
    for name, file in decided.notify_url_files.items():
        target = settings.notifications.targets.get(name)
        before = None if target is None else _text(target.url_file)
        wanted[f"notifications.targets.{name}.url_file"] = (before, str(file))
    return [Change(key, before, after) for key, (before, after) in wanted.items() if after not in (None, before)]


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
