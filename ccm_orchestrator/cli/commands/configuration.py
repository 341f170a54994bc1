"""`config path|get|set`"""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.console import Group

from ccm_orchestrator.cli.lazily import Heavy, load
from ccm_orchestrator.cli.session import Session, command
from ccm_orchestrator.cli.views.plain import text
from ccm_orchestrator.errors import InvalidSettings
from ccm_orchestrator.settings import Settings, config_path
from ccm_orchestrator.settings.editing import parse_value, with_value
from ccm_orchestrator.settings.problems import secret_keys
from ccm_orchestrator.settings.sources import Layer, env_name, origin_of, read_layers, read_toml, validated
from ccm_orchestrator.settings.types import HIDDEN
from ccm_orchestrator.settings.writing import write_config


def add_to(group: typer.Typer) -> None:
    command(group, "path")(show_path)
    command(group, "get")(get)
    command(group, "set")(set_value)


async def show_path(session: Session) -> None:
    """Print the path of the configuration file. It need not exist."""
    path = session.config or config_path()
    session.show({"path": str(path), "exists": path.exists()}, lambda: typer.echo(str(path)), ids=str(path))


async def get(
    session: Session,
    key: Annotated[str | None, typer.Argument(metavar="KEY", help="Such as `api.port` or `profiles`.")] = None,
) -> None:
    """Show what is in effect: one value, one table, or everything with where it comes from."""
    layers = read_layers(session.config)
    values = effective(validated(layers))
    if key is None:
        session.show(values, lambda: _table(values, layers))
        return
    found = look_up(values, key)
    session.show(found, lambda: _value(found, key, layers), ids=_written(found))


async def set_value(
    session: Session,
    key: Annotated[str, typer.Argument(metavar="KEY", help="Such as `api.port`.")],
    value: Annotated[str, typer.Argument(metavar="VALUE", help="As in the file; texts need no quotes.")],
) -> None:
    """Write a value to the configuration file. The daemon reads it when it starts."""
    path = session.config or config_path()
    if key in secret_keys(Settings):
        raise InvalidSettings(
            f"`{key}` is a secret, and others can see a command line: set it in {path} with an editor, in the variable "
            f"{env_name(key.split('.'))}, or in a file that `{key}_file` names."
        )
    current = read_toml(path)
    validated([Layer(str(path), current)])
    try:
        document = path.read_text(encoding="utf-8") if path.exists() else ""
        changed = with_value(document, key.split("."), parse_value(value))
    except ValueError as error:
        raise InvalidSettings(f"`{key}` cannot be changed here ({error}): edit {path} by hand.") from error
    write_config(path, changed)
    session.show({"path": str(path), "key": key, "value": parse_value(value)}, text(f"{key} is set in {path}."))
    held = load(Heavy.HOLDER)(session.settings.state_directory)
    if held is not None and not held.passing:
        session.note("A daemon runs, and heeds it when it is started anew; agents go on.")


def effective(settings: Settings) -> dict[str, Any]:
    """Everything, as the file would say it; profiles with all their fields, their environment hidden."""
    values = settings.model_dump(mode="json", by_alias=True)
    values["profiles"] = {
        name: {
            field: [*value] if isinstance(value, tuple) else value
            for field in profile.__dataclass_fields__
            if field != "name" and (value := getattr(profile, field)) is not None
        }
        | {"env": dict.fromkeys(profile.env, HIDDEN)}
        for name, profile in settings.profiles().items()
    }
    return values


def look_up(values: dict[str, Any], key: str) -> Any:
    """Raises: InvalidSettings."""
    here: Any = values
    for part in key.split("."):
        if not isinstance(here, dict) or part not in here:
            raise InvalidSettings(f"There is no setting `{key}`; `ccm-orchestrator config get` lists them.")
        here = here[part]
    return here


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"api": {"port": 1}}` → `{"api.port": 1}`"""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) and value else {prefix + name: value}
    return found


def _value(found: Any, key: str, layers: list[Layer]) -> Any:
    if isinstance(found, dict):
        return _table(found, layers, f"{key}.")
    typer.echo(_written(found))
    return None


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _table(values: dict[str, Any], layers: list[Layer], prefix: str = "") -> Any:
    lines = []
    for key, value in flat(values, prefix).items():
        origin = origin_of(layers, tuple(key.split(".")))
        line = text(key, "bold").append_text(text(f" = {_written(value)}", "" if origin else "dim"))
        lines.append(line.append_text(text(f"  ({origin})", "dim")) if origin else line)
    return Group(*lines)
