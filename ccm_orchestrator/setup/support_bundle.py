"""`support bundle`: one archive that tells a stranger what is wrong here, and none of the secrets."""

from __future__ import annotations

import io
import os
import re
import tarfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ccm_orchestrator.errors import InputError
from ccm_orchestrator.settings import Settings, config_path
from ccm_orchestrator.setup import support_parts as parts
from ccm_orchestrator.setup.doctor import configuration, examine
from ccm_orchestrator.telemetry.masking import Masker
from ccm_orchestrator.wiring.records import known_secrets

ROOT = "ccm-orchestrator-support"
_ASSIGNED = re.compile(
    r"(?P<name>[\"']?[\w.-]*(?:key|token|secret|passw|credential|dsn|cookie|url)[\w.-]*[\"']?\s*[=:]\s*)"
    r"(?P<value>\"[^\"\n]*\"|'[^'\n]*'|[^\s,;\"']+)",
    re.IGNORECASE,
)
"""In the text of a file that says what is secret by its names."""


@dataclass(frozen=True, slots=True)
class Entry:
    name: str
    bytes: int
    about: str


@dataclass(frozen=True, slots=True)
class Bundle:
    path: Path
    entries: tuple[Entry, ...]


ABOUT: Mapping[str, str] = {
    "versions.json": "versions of the programs, and the kind of machine",
    "doctor.json": "what `ccm-orchestrator doctor` finds",
    "environment.txt": "names of variables, without their values",
    "config.json": "the configuration in effect, secrets hidden",
    "config-problem.txt": "why the configuration cannot be read",
    "database.json": "schema and numbers of rows",
    "events.jsonl": "the newest events",
    "incidents.json": "what went wrong, and until when",
    "tasks.json": "the newest tasks, with prompts and results",
    "tmux.txt": "options and windows of the agents' tmux server",
    "logs": "the end of a log",
    "units": "services, without the values of variables",
}


async def make_bundle(
    config: Path | None, environment: Mapping[str, str], output: Path | None, with_texts: bool
) -> Bundle:
    """Readable by nobody else. `with_texts`: with prompts, results and events as they are, secrets still masked.

    Raises: InputError when the file exists, or cannot be written.
    """
    path = output or Path(f"{ROOT}-{time.strftime('%Y%m%d-%H%M%S')}.tar.gz")
    checks = await examine(config, environment)
    settings, _ = configuration(config)
    problem = next((c.found for c in checks if c.name == "configuration" and c.verdict == "fail"), "")
    texts = {
        "versions.json": parts.versions(checks),
        "doctor.json": parts.doctor(checks),
        "environment.txt": parts.environment(environment),
        **({"config-problem.txt": problem + "\n"} if problem else {"config.json": parts.configuration(settings)}),
        "database.json": parts.database(settings.database),
        "events.jsonl": parts.events(settings.database, with_texts),
        "incidents.json": parts.incidents(settings.database, with_texts),
        **({"tasks.json": parts.tasks(settings.database)} if with_texts else {}),
        "tmux.txt": parts.tmux(settings),
        **dict(parts.units(settings, config)),
        **dict(parts.logs(settings.state_directory / "logs")),
    }
    masker = Masker(_secrets(settings, config, environment))
    masked = {name: masker(text) for name, text in texts.items()}
    entries = tuple(Entry(name, len(text.encode()), _about(name)) for name, text in masked.items())
    manifest = "".join(f"{entry.bytes:>9}  {entry.name}  {entry.about}\n" for entry in entries)
    _write(path, {"manifest.txt": manifest, **masked})
    return Bundle(path, entries)


def _about(name: str) -> str:
    return ABOUT.get(name) or ABOUT[name.partition("/")[0]]


def _secrets(settings: Settings, config: Path | None, environment: Mapping[str, str]) -> Iterator[str]:
    """All that this machine is known to keep, whether it is in use or not."""
    yield from known_secrets(settings, environment)
    for target in settings.notifications.targets.values():
        if target.url is not None:
            yield target.url.get_secret_value()
        if target.url_file is not None:
            yield _text(target.url_file)
    for profile in settings.profiles().values():
        yield from profile.env.values()
    for name in ("api-token", "internal-secret"):
        yield _text(settings.state_directory / name)
    usual = config_path()
    for file in (config or usual, usual, usual.with_name("environment"), Path("/etc/ccm-orchestrator/environment")):
        for found in _ASSIGNED.finditer(_text(file)):
            yield found["value"].strip("\"'")


def _text(path: Path) -> str:
    with suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace")
    return ""


def _write(path: Path, texts: Mapping[str, str]) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise InputError(f"{path} exists: name another file with `--output`.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.") from error
    with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, text in texts.items():
            content = text.encode("utf-8", "replace")
            info = tarfile.TarInfo(f"{ROOT}/{name}")
            info.size, info.mode, info.mtime = len(content), 0o600, int(time.time())
            archive.addfile(info, io.BytesIO(content))
