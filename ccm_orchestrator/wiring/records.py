"""The daemon's own log, as the settings want it, and the secrets that must never be in it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import unquote

from ccm_orchestrator.domain.telling import secrets_of
from ccm_orchestrator.errors import InvalidSettings
from ccm_orchestrator.security.secrets import read_secret
from ccm_orchestrator.settings import Settings
from ccm_orchestrator.telemetry.log_file import DAY_S, LogFile, Rotation
from ccm_orchestrator.telemetry.logs import LogOptions, configure_logs, is_journal, log_whatever_happens
from ccm_orchestrator.telemetry.masking import Masker
from ccm_orchestrator.wiring.targets import read_targets

_SECRET_NAME = re.compile(r"key|token|secret|passw|credential|auth|jwt|dsn|cookie", re.IGNORECASE)
_PLACE = re.compile(r"_(?:file|path|dir|directory|sock|socket|id)$", re.IGNORECASE)
"""A variable that says where a secret lies is none."""


def start_log(settings: Settings, environment: Mapping[str, str]) -> tuple[LogFile, Masker]:
    """From here on, everything that this process logs goes there."""
    masker = Masker(known_secrets(settings, environment))
    table = settings.log
    options = LogOptions(
        table.level,
        table.format,
        Rotation(int(table.max_mb * 1_000_000), table.max_days * DAY_S, table.keep),
        settings.system_id,
        journal=is_journal(environment),
        syslog=table.syslog,
    )
    log_whatever_happens()
    return configure_logs(settings.state_directory / "logs", options, masker), masker


def known_secrets(settings: Settings, environment: Mapping[str, str]) -> Iterator[str]:
    """Everything secret that this process was given, by value."""
    yield from _secret_values(environment.items())
    for profile in settings.profiles().values():
        yield from _secret_values(profile.env.items())
    supabase = settings.supabase
    for secret in (supabase.key, supabase.system_token, supabase.jwt_secret):
        if secret is not None:
            yield secret.get_secret_value()
    for file in (supabase.key_file, supabase.system_token_file, supabase.jwt_secret_file, supabase.signing_key_file):
        if file is not None:
            with contextlib.suppress(OSError, UnicodeDecodeError):  # whoever needs it says what is wrong with it
                yield file.read_text(encoding="utf-8")
    for target in read_targets(settings.notifications).usable:
        yield from secrets_of(target.url)
    for name in ("api-token", "internal-secret"):
        with contextlib.suppress(InvalidSettings):  # of the first start, when there is none yet
            yield read_secret(settings.state_directory / name).reveal()


def _secret_values(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    for name, value in pairs:
        if name.startswith("OTEL_") and name.endswith("_HEADERS"):
            yield from (unquote(pair.partition("=")[2]) for pair in value.split(","))
        elif _SECRET_NAME.search(name) and not _PLACE.search(name):
            yield value
