"""What stands in a support bundle: one function for each file of it. None of them fails for what it describes."""

from __future__ import annotations

import json
import os
import platform
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ccm_orchestrator import __version__
from ccm_orchestrator.adapters.tmux.server import run_tmux
from ccm_orchestrator.errors import OrchestratorError, StoreError, TerminalError
from ccm_orchestrator.settings import Settings
from ccm_orchestrator.setup.check import Check
from ccm_orchestrator.setup.service_files import launch_agents, systemd_units
from ccm_orchestrator.setup.services import describe_installation, service_manager
from ccm_orchestrator.setup.tmux_checks import ANSWER_S, address_of
from ccm_orchestrator.setup.work_checks import absent, reading

LINES = 5000
EVENTS = 500
TASKS = 100
SHORTEST_WORD = 64
_FACTS = frozenset(
    {"agent", "attempt", "count", "decision", "decided_by", "exit_code", "fence", "from", "hold_reason", "kind"}
    | {"level", "outcome", "pid", "state", "status", "to", "tool_name", "turns"}
    | {"run_id", "task_id", "system_id", "request_id"}
)
"""Of an event's data, what is no text of anybody."""
_SHOWN_VARIABLES = ("CCM_", "ANTHROPIC_", "CLAUDE", "TMUX", "XDG_", "LC_", "LANG", "TERM", "SHELL")


def written(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n"


def versions(checks: Sequence[Check]) -> str:
    """Programs as the doctor found them."""
    programs = {check.name: check.found for check in checks if check.group in ("Programs", "Agent")}
    return written(
        {
            "ccm-orchestrator": __version__,
            "python": sys.version,
            "sqlite": sqlite3.sqlite_version,
            "platform": platform.platform(),
            "machine": {"cores": os.cpu_count(), "architecture": platform.machine()},
            "programs": programs,
        }
    )


def doctor(checks: Sequence[Check]) -> str:
    return written([asdict(check) for check in checks])


def environment(variables: Mapping[str, str]) -> str:
    """Names alone: a value may be anything."""
    return "".join(f"{name}\n" for name in sorted(variables) if name.startswith(_SHOWN_VARIABLES))


def configuration(settings: Settings) -> str:
    """What is in effect. Secrets, addresses of people and variables of profiles do not show themselves."""
    values = settings.model_dump(mode="json", by_alias=True)
    for profile in values.get("profiles", {}).values():
        profile["env"] = sorted(profile.get("env") or {})
        profile.pop("system_prompt", None)
        if profile.get("command"):
            profile["command"] = profile["command"][:1]
    return written(values)


def logs(directory: Path) -> Iterator[tuple[str, str]]:
    """The end of each file."""
    for path in sorted(directory.glob("*.log*")) if directory.is_dir() else []:
        if path.is_file() and not path.is_symlink() and path.suffix != ".gz":
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[-LINES:]
            yield f"logs/{path.name}", "".join(f"{line}\n" for line in lines)


def database(path: Path) -> str:
    """Schema and numbers; no text."""
    if absent(path):
        return written({"exists": False})
    try:
        with reading(path) as connection:
            tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
            counts = {table: connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0] for table in tables}
            found: dict[str, Any] = {
                "bytes": path.stat().st_size,
                "migrations": _column(connection, "SELECT name FROM schema_migrations ORDER BY name"),
                "rows": counts,
                "tasks": dict(map(tuple, connection.execute("SELECT status, count(*) FROM tasks GROUP BY status"))),
                "runs": dict(map(tuple, connection.execute("SELECT state, count(*) FROM runs GROUP BY state"))),
            }
    except (StoreError, sqlite3.Error) as error:
        found = {"exists": True, "problem": str(error)}
    return written(found)


def _column(connection: sqlite3.Connection, query: str) -> list[Any]:
    return [row[0] for row in connection.execute(query)]


def events(path: Path, with_texts: bool) -> str:
    """The newest, one JSON object a line."""
    rows = _rows(path, "SELECT seq, kind, at, task_id, run_id, data FROM events ORDER BY seq DESC LIMIT ?", EVENTS)
    return "".join(json.dumps({**row, "data": _data(row["data"], with_texts)}) + "\n" for row in reversed(rows))


def _data(text: str, with_texts: bool) -> Any:
    try:
        data = json.loads(text)
    except ValueError:
        return None
    return data if with_texts else _without_texts(data)


def _without_texts(value: Any) -> Any:
    """Numbers, and the words of a closed set; no prompt, no output, no path."""
    if isinstance(value, dict):
        return {key: _without_texts(inner) for key, inner in value.items() if _is_fact(key, inner)}
    return value


def _is_fact(key: str, value: Any) -> bool:
    if isinstance(value, str):
        return key in _FACTS and len(value) <= SHORTEST_WORD and " " not in value
    return value is None or isinstance(value, bool | int | float | dict)


def incidents(path: Path, with_texts: bool) -> str:
    rows = _rows(path, "SELECT * FROM incidents ORDER BY seq DESC LIMIT ?", EVENTS)
    return written([row if with_texts else {k: v for k, v in row.items() if k != "detail"} for row in rows])


def tasks(path: Path) -> str:
    """With prompts and results: only on demand."""
    return written(_rows(path, "SELECT * FROM tasks ORDER BY seq DESC LIMIT ?", TASKS))


def _rows(path: Path, query: str, limit: int) -> list[dict[str, Any]]:
    if absent(path):
        return []
    try:
        with reading(path) as connection:
            return [dict(row) for row in connection.execute(query, (limit,))]
    except (StoreError, sqlite3.Error):
        return []  # what is wrong with it, database.json says


def units(settings: Settings, config: Path | None) -> Iterator[tuple[str, str]]:
    """Service files as they are installed, without the values of variables; and what the manager says of them."""
    installation = describe_installation(settings, config)
    shipped = [*systemd_units(installation, False), *systemd_units(installation, True), *launch_agents(installation)]
    user_units = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd" / "user"
    for directory in (user_units, Path("/etc/systemd/system"), Path.home() / "Library" / "LaunchAgents"):
        for name in shipped:
            path = directory / name
            if path.is_file():
                yield f"units/{name}", _without_variables(path.read_text(encoding="utf-8", errors="replace"))
    try:
        yield "units/status.json", written(asdict(service_manager(settings, config, False).status()))
    except OrchestratorError as error:
        yield "units/status.json", written({"problem": error.message})


def _without_variables(text: str) -> str:
    """Of a unit, and of a property list."""
    text = re.sub(r"(?m)^(\s*Environment=).*$", r"\1…", text)
    return re.sub(r"(?s)(<key>EnvironmentVariables</key>\s*<dict>).*?(</dict>)", r"\1…\2", text)


def tmux(settings: Settings) -> str:
    """Options, and windows by number: their names could be anybody's."""
    parts = []
    asked = (("show-options", "-s"), ("show-options", "-g"), ("show-options", "-gw"))
    listing = ("list-windows", "-a", "-F", "#{window_id} #{window_activity} #{window_panes} #{@ccm_run}")
    try:
        address = address_of(settings)
        for words in (*asked, listing, ("list-clients", "-F", "#{client_pid} #{client_flags}")):
            done = run_tmux(address, words, ANSWER_S)
            parts.append(f"$ tmux {' '.join(words)}\n{(done.stdout + done.stderr).decode(errors='replace')}")
    except (TerminalError, subprocess.SubprocessError, OSError) as error:
        parts.append(f"{error}\n")
    return "\n".join(parts)
