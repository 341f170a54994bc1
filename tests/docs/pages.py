"""Parts of pages that are written by the program itself: `make docs` writes them anew, a test compares them.

A part stands between `<!-- generated: NAME -->` and `<!-- end of NAME -->`; the prose around it is written by people.
"""

import ast
import inspect
import itertools
import json
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

import typer.main
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ccm_orchestrator.cli.app import EPILOG, app
from ccm_orchestrator.domain.incidents import IncidentKind
from ccm_orchestrator.domain.notices import NoticeEvent
from ccm_orchestrator.domain.telling import BY_INCIDENT, OTHER_INCIDENT
from ccm_orchestrator.fakes.clock import FakeClock
from ccm_orchestrator.fakes.memory_figures import MemoryFigures
from ccm_orchestrator.fakes.memory_journal import MemoryJournal
from ccm_orchestrator.fakes.memory_tasks import MemoryTaskStore
from ccm_orchestrator.settings.model import ENV_DELIMITER, ENV_PREFIX, Settings
from ccm_orchestrator.settings.problems import ANY_NAME, every_key, expected, fields_of, nested_model
from ccm_orchestrator.settings.profiles import ProjectProfileTable
from ccm_orchestrator.setup.doctor import listed
from ccm_orchestrator.setup.support_bundle import ABOUT
from ccm_orchestrator.telemetry.lines import FIELDS
from ccm_orchestrator.telemetry.metrics import Around, Metrics
from tests.docs.source import CHECKOUT

PROGRAM = "ccm-orchestrator"


class Parameter(Protocol):
    """What is used of an argument or an option."""

    name: str
    opts: list[str]
    secondary_opts: list[str]
    required: bool
    default: Any
    metavar: str | None
    help: str | None
    hidden: bool
    envvar: str | list[str] | None


class Command(Protocol):
    help: str | None
    params: list[Parameter]
    hidden: bool


def settings_part() -> str:
    """A table for each table of the file."""
    parts = []
    for table, keys in groupby(every_key(Settings), lambda entry: entry[0].rpartition(".")[0]):
        title = f"`[{table}]`" if table else "At the top of the file"
        parts.append(f"### {title}\n\n{_about(table)}{_settings_table(list(keys))}")
    return "\n\n".join(parts)


def _about(table: str) -> str:
    fields = dict(fields_of(Settings))
    name = table.partition(".")[0]
    nested = nested_model(fields[name]) if name else None
    return f"{_first_line(nested[0])}\n\n" if nested else ""


def _first_line(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().splitlines()[0]


def _settings_table(keys: list[tuple[str, FieldInfo]]) -> str:
    rows = ["| Key | Default | What it is |", "| --- | --- | --- |"]
    for key, info in keys:
        name = key.rpartition(".")[2]
        variable = "" if ANY_NAME in key else f"<br>`{variable_of(key)}`"
        rows.append(
            f"| `{name}`{variable} | {_default(info)} | {_cell(info.description or '')} Expects {expected(info)}. |"
        )
    return "\n".join(rows)


def variable_of(key: str) -> str:
    """The environment variable of a key: `api.port` → `CCM_API__PORT`."""
    return ENV_PREFIX + key.replace(".", ENV_DELIMITER).upper()


def _default(info: FieldInfo) -> str:
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    if "default_text" in extra:
        return str(extra["default_text"])
    value = info.get_default(call_default_factory=True)
    if value is None:
        return "not set"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return f"`{json.dumps(list(value) if isinstance(value, tuple) else value)}`"


def project_keys_part() -> str:
    """What a project's own file may set."""
    keys = [f"`{name}`" for name, _ in every_key(ProjectProfileTable)]
    return f"{', '.join(keys[:-1])} and {keys[-1]}."


def commands_part() -> str:
    root = typer.main.get_command(app)
    parts = [_command_section("", root)]
    parts += [_command_section(name, command) for name, command in leaves("", root)]
    return "\n\n".join(parts)


def leaves(path: str, command: Any) -> Iterator[tuple[str, Command]]:
    """Commands that do something, with the words that call them."""
    for name, inner in getattr(command, "commands", {}).items():
        words = f"{path} {name}".strip()
        if hasattr(inner, "commands"):
            yield from leaves(words, inner)
        elif not inner.hidden:
            yield words, inner


def _command_section(words: str, command: Any) -> str:
    shown = [parameter for parameter in command.params if not getattr(parameter, "hidden", False)]
    arguments = [p for p in shown if not p.opts[0].startswith("-")]
    options = [p for p in shown if p.opts[0].startswith("-")]
    usage = " ".join([PROGRAM, words or "[OPTIONS] COMMAND", *map(argument_name, arguments)])
    help_text = re.sub(r"^Example: (.+)$", r"Example: `\1`", command.help or "", flags=re.M)
    title = f"{PROGRAM} {words}".strip()
    parts = [f"## {title}", f"`{usage}`", help_text.strip()]
    parts += [_parameters(arguments + options)] if shown else []
    parts += [] if words else [EPILOG]
    return "\n\n".join(part for part in parts if part)


def argument_name(parameter: Parameter) -> str:
    name = parameter.metavar or parameter.name.upper()
    return name if parameter.required or name.startswith("[") else f"[{name}]"


def _parameters(parameters: list[Parameter]) -> str:
    rows = ["| | |", "| --- | --- |"]
    for parameter in parameters:
        is_option = parameter.opts[0].startswith("-")
        names = ", ".join(f"`{word}`" for word in (*parameter.opts, *parameter.secondary_opts)) if is_option else ""
        metavar = f" `{parameter.metavar}`" if is_option and parameter.metavar else ""
        rows.append(f"| {_cell((names or f'`{argument_name(parameter)}`') + metavar)} | {_cell(meaning(parameter))} |")
    return "\n".join(rows)


def meaning(parameter: Parameter) -> str:
    notes = []
    if parameter.default not in (None, False, (), [], ""):
        default = getattr(parameter.default, "value", parameter.default)
        notes.append(f"Default: `{default}`.")
    if parameter.envvar:
        variables = [parameter.envvar] if isinstance(parameter.envvar, str) else parameter.envvar
        notes.append(f"Environment: {', '.join(f'`{name}`' for name in variables)}.")
    return " ".join([parameter.help or "", *notes]).strip()


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def log_fields_part() -> str:
    rows = ["| Field | What it is |", "| --- | --- |"]
    return "\n".join(rows + [f"| `{name}` | {_cell(meaning)} |" for name, meaning in FIELDS.items()])


def metrics_part() -> str:
    clock = FakeClock()
    store = MemoryFigures(MemoryTaskStore(clock), MemoryJournal(clock), clock)
    metrics = Metrics(store, clock, Around("", "", 0, CHECKOUT, supabase_state=lambda: "live"))
    rows = ["| Metric | Kind | Labels | What it is |", "| --- | --- | --- | --- |"]
    for name, kind, labels, meaning in metrics.described():
        shown = ", ".join(f"`{label}`" for label in labels)
        rows.append(f"| `{name}` | {kind} | {shown} | {_cell(meaning)} |")
    return "\n".join(rows)


def alerts_part() -> str:
    found = re.findall(
        r"- alert: (\w+).*?severity: (\w+).*?summary: \"(.*?)\"",
        (CHECKOUT / "monitoring/prometheus/alerts.yml").read_text(),
        re.DOTALL,
    )
    rows = ["| Alert | Severity | Says |", "| --- | --- | --- |"]
    plain = [
        (name, severity, re.sub(r"\{\{ [$](?:labels\.)?(\w+).*?\}\}", r"…", text)) for name, severity, text in found
    ]
    return "\n".join(rows + [f"| `{name}` | {severity} | {_cell(text)} |" for name, severity, text in plain])


def checks_part() -> str:
    rows = ["| Check | Group | What is looked at |", "| --- | --- | --- |"]
    return "\n".join(rows + [f"| `{row['name']}` | {row['group']} | {_cell(row['about'])} |" for row in listed()])


def bundle_part() -> str:
    rows = ["| File | What it is |", "| --- | --- |"]
    return "\n".join(rows + [f"| `{name}` | {_cell(about)} |" for name, about in ABOUT.items()])


def notice_events_part() -> str:
    rows = ["| Event | When |", "| --- | --- |"]
    return "\n".join(rows + [f"| `{name}` | {_cell(about)} |" for name, about in members_of(NoticeEvent)])


def incidents_part() -> str:
    rows = ["| Kind | Told as | Level | What it is |", "| --- | --- | --- | --- |"]
    for name, about in members_of(IncidentKind):
        event, level = BY_INCIDENT.get(IncidentKind(name), OTHER_INCIDENT)
        rows.append(f"| `{name}` | `{event}` | {level} | {_cell(about)} |")
    return "\n".join(rows)


def members_of(kind: type[StrEnum]) -> Iterator[tuple[str, str]]:
    """Values of an enumeration with the text below each. Raises: KeyError when one has none."""
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(body, ast.ClassDef)
    texts = {
        member.targets[0].id: inspect.cleandoc(text.value.value)
        for member, text in itertools.pairwise(body.body)
        if isinstance(member, ast.Assign) and isinstance(member.targets[0], ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
    }
    for each in kind:
        yield each.value, texts[each.name]


PARTS: Mapping[str, Mapping[str, Callable[[], str]]] = {
    "docs/configuration.md": {"settings": settings_part, "project keys": project_keys_part},
    "docs/cli.md": {"commands": commands_part},
    "docs/notifications.md": {"events": notice_events_part, "incidents": incidents_part},
    "docs/doctor.md": {"checks": checks_part, "bundle": bundle_part},
    "docs/monitoring.md": {"log fields": log_fields_part, "metrics": metrics_part, "alerts": alerts_part},
}
"""Page → part → what it says now."""


def renewed(page: str, parts: Mapping[str, Callable[[], str]]) -> str:
    """The page with its generated parts as they should be. Raises: ValueError when a part has no place in it."""
    for name, write in parts.items():
        opening, end = f"<!-- generated: {name} -->", f"<!-- end of {name} -->"
        before, found, rest = page.partition(opening)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise ValueError(f"The page has no part between `{opening}` and `{end}`.")
        page = f"{before}{opening}\n\n{write()}\n\n{end}{after}"
    return page


def write_pages(root: Path = CHECKOUT) -> None:
    for name, parts in PARTS.items():
        path = root / name
        path.write_text(renewed(path.read_text(), parts))


if __name__ == "__main__":
    write_pages()
