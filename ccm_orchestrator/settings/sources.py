"""Where values come from, and which of them wins: flag > environment > project > user > default."""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from ccm_orchestrator.errors import InvalidSettings
from ccm_orchestrator.settings.model import ENV_DELIMITER, ENV_PREFIX, Settings
from ccm_orchestrator.settings.problems import ANY_NAME, every_key, secret_keys, sentence
from ccm_orchestrator.settings.profiles import ProjectProfileTable
from ccm_orchestrator.settings.types import Slug, Table

ENVIRONMENT = "the environment variable"
PROJECT_FILE = ".ccm-orchestrator.toml"


@dataclass(frozen=True, slots=True)
class Layer:
    """Values of one origin."""

    origin: str
    """Names it in an error: a file's path, `the environment variable`, `the command line`."""
    values: Mapping[str, Any]


def config_path() -> Path:
    """The user's file; it need not exist."""
    home = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(home).expanduser() / "ccm-orchestrator" / "config.toml"


def load_settings(file: Path | None = None, flags: Mapping[str, Any] | None = None) -> Settings:
    """Reads the user's file (`file` instead, which must exist then), the environment and the flags.

    Keys of `flags` are nested as in the file. A target of notifications that cannot be used is left out, and named in
    `settings.notifications.left_out`: whoever is to be told of trouble must not be the trouble.
    Raises: InvalidSettings, whose `problems` are the single sentences.
    """
    path = file or config_path()
    values, left_out = without_open_targets(path, read_toml(path, must_exist=file is not None))
    layers = _layers(path, values, flags)
    try:
        settings = Settings(**_merged(layers))
    except ValidationError as error:
        bad = _bad_targets(error, layers)
        if bad is None:
            raise invalid(_problems(error, layers)) from error
        left_out |= bad
        layers = [replace(layer, values=_without(layer.values, bad)) for layer in layers]
        settings = validated(layers)
    settings.notifications.left_out.update(left_out)
    return settings


def read_layers(file: Path | None = None, flags: Mapping[str, Any] | None = None) -> list[Layer]:
    """Weakest first. Raises: InvalidSettings."""
    path = file or config_path()
    return _layers(path, read_toml(path, must_exist=file is not None), flags)


def _layers(path: Path, values: Mapping[str, Any], flags: Mapping[str, Any] | None) -> list[Layer]:
    require_private(path, values)
    return [
        Layer(str(path), values),
        Layer(ENVIRONMENT, read_environment()),
        Layer("the command line", flags or {}),
    ]


def validated(layers: Sequence[Layer]) -> Settings:
    """Of several layers, the later one wins."""
    try:
        return Settings(**_merged(layers))
    except ValidationError as error:
        raise invalid(_problems(error, layers)) from error


def _merged(layers: Sequence[Layer]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for layer in layers:
        merged = _merge(merged, layer.values)
    return merged


def without_open_targets(path: Path, values: Mapping[str, Any]) -> tuple[Mapping[str, Any], dict[str, str]]:
    """Without targets whose address stands in a file that others can read, and why."""
    tables = targets_in(values)
    held = [name for name, table in tables.items() if isinstance(table, Mapping) and "url" in table]
    if not held or not stat.S_IMODE(path.stat().st_mode) & 0o077:
        return values, {}
    left_out = {
        name: f"the configuration file {path} holds the secret `notifications.targets.{name}.url` and is open to other "
        f"users: `chmod 600 {path}`"
        for name in held
    }
    return _without(values, left_out), left_out


def targets_in(values: Mapping[str, Any]) -> Mapping[str, Any]:
    table = values.get("notifications")
    targets = table.get("targets") if isinstance(table, Mapping) else None
    return targets if isinstance(targets, Mapping) else {}


def _without(values: Mapping[str, Any], names: Iterable[str]) -> Mapping[str, Any]:
    """Without these targets."""
    if not targets_in(values):
        return values
    kept = {name: table for name, table in targets_in(values).items() if name not in set(names)}
    return {**values, "notifications": {**values["notifications"], "targets": kept}}


def _bad_targets(error: ValidationError, layers: Sequence[Layer]) -> dict[str, str] | None:
    """By name, with what is wrong; None: something else is wrong, too."""
    bad: dict[str, str] = {}
    for each, problem in zip(error.errors(), _problems(error, layers), strict=True):
        loc = each["loc"]
        if loc[:2] != ("notifications", "targets") or len(loc) < 3:
            return None
        bad[str(loc[2])] = problem
    return bad


def invalid(problems: Iterable[str]) -> InvalidSettings:
    kept = tuple(dict.fromkeys(problems))
    return InvalidSettings("\n".join(kept), problems=kept)


def read_toml(path: Path, must_exist: bool = False) -> dict[str, Any]:
    """Empty when the file does not exist. Raises: InvalidSettings."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if must_exist:
            raise invalid([f"the configuration file {path} does not exist"]) from None
        return {}
    except OSError as error:
        raise invalid([f"the configuration file {path} cannot be read: {error.strerror}"]) from error
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError
        raise invalid([f"the configuration file {path} is not valid TOML: {error}"]) from error


def require_private(path: Path, values: Mapping[str, Any]) -> None:
    """A file that holds a secret must be its owner's alone. Raises: InvalidSettings."""
    held = sorted(key for key in secret_keys(Settings) if _has(values, tuple(key.split(".")), any_name=True))
    if held and stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise invalid(
            f"the configuration file {path} holds the secret `{key}` and is open to other users: `chmod 600 {path}`"
            for key in held
        )


def read_environment() -> dict[str, Any]:
    """`CCM_API__PORT` is `api.port`. Names of keys and profiles are lower-case here."""
    known = {key.split(".")[0] for key, _ in every_key(Settings)}
    values: dict[str, Any] = {}
    for variable, value in sorted(os.environ.items()):
        path = variable.removeprefix(ENV_PREFIX).lower().split(ENV_DELIMITER)
        if variable.startswith(ENV_PREFIX) and path[0] in known:
            _put(values, path, value)
    return values


def _put(values: dict[str, Any], path: Sequence[str], value: str) -> None:
    for part in path[:-1]:
        inner = values.get(part)
        if not isinstance(inner, dict):
            inner = values[part] = {}
        values = inner
    values[path[-1]] = value


def unknown_variables() -> list[str]:
    """Variables with our prefix that no key reads. Not an error: agents and scripts have some of their own."""
    known = {ENV_PREFIX + key.split(".")[0].upper() for key, _ in every_key(Settings)}
    return sorted(
        name for name in os.environ if name.startswith(ENV_PREFIX) and name.split(ENV_DELIMITER)[0] not in known
    )


class ProjectFile(Table):
    """`.ccm-orchestrator.toml` in a project: defaults for profiles. Whoever can write to the project can write it."""

    profiles: dict[Slug, ProjectProfileTable] = Field(default_factory=dict)


def read_project_file(directory: Path) -> Mapping[str, ProjectProfileTable]:
    """Raises: InvalidSettings."""
    path = directory / PROJECT_FILE
    try:
        return ProjectFile.model_validate(read_toml(path)).profiles
    except ValidationError as error:
        problems = [sentence(ProjectFile, each, _path(each["loc"]), str(path)) for each in error.errors()]
        raise invalid(problems) from error


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(value, Mapping) and isinstance(below, Mapping) else value
    return merged


def _problems(error: ValidationError, layers: Sequence[Layer]) -> Iterable[str]:
    for each in error.errors():
        path = _path(each["loc"])
        related = [tuple(key.split(".")) for key in each.get("ctx", {}).get("keys", "").split()]
        yield sentence(Settings, each, path, origin_of(layers, *(related or [path])) or layers[0].origin)


def _path(loc: tuple[int | str, ...]) -> tuple[str, ...]:
    """Without positions in lists, and without pydantic's mark for a bad key."""
    return tuple(part for part in loc if isinstance(part, str) and part != "[key]")


def origin_of(layers: Sequence[Layer], *paths: tuple[str, ...]) -> str | None:
    """The strongest layer that sets one of the values; None: none does."""
    for layer in reversed(layers):
        for path in paths:
            if _has(layer.values, path):
                return f"{layer.origin} {env_name(path)}" if layer.origin == ENVIRONMENT else layer.origin
    return None


def env_name(path: Sequence[str]) -> str:
    return ENV_PREFIX + ENV_DELIMITER.join(path).upper()


def _has(values: Any, path: tuple[str, ...], any_name: bool = False) -> bool:
    """`any_name`: where the path says NAME, every key is meant."""
    if not path:
        return True
    if not isinstance(values, Mapping):
        return False
    if any_name and path[0] == ANY_NAME:
        return any(_has(inner, path[1:], any_name) for inner in values.values())
    return path[0] in values and _has(values[path[0]], path[1:], any_name)
