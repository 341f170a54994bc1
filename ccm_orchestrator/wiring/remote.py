"""The Supabase project that this machine serves, built from the settings. Imported only where one is configured."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from ccm_orchestrator.adapters.supabase.credentials import Credentials, Proofs
from ccm_orchestrator.adapters.supabase.health import SupabaseHealth
from ccm_orchestrator.adapters.supabase.keys import Signer, key_signer, shared_signer
from ccm_orchestrator.adapters.supabase.migrations import shipped_migrations
from ccm_orchestrator.adapters.supabase.store import SupabaseOptions, SupabaseStore
from ccm_orchestrator.engine.heartbeats import Heart
from ccm_orchestrator.engine.queues import Queue
from ccm_orchestrator.errors import InvalidSettings
from ccm_orchestrator.ports.tasks import Project
from ccm_orchestrator.security.secrets import Secret, find_secret
from ccm_orchestrator.settings import Settings
from ccm_orchestrator.wiring.building import build_system
from ccm_orchestrator.wiring.self_check import keep_turning

SUPABASE = "supabase"


def build_supabase(
    settings: Settings,
    environment: Mapping[str, str],
    boot_id: str,
    local_projects: Callable[[], Awaitable[Sequence[Project]]],
    uptime_s: Callable[[], float],
) -> SupabaseRemote:
    """Nothing is connected yet. Raises: InvalidSettings."""
    table = settings.supabase
    assert table.url is not None
    credentials = build_credentials(settings, environment)
    options = SupabaseOptions(
        system=build_system(settings),
        boot_id=boot_id,
        queue_limit=settings.queue_limit,
        sweep_live_s=table.sweep_live_s,
        sweep_degraded_s=table.sweep_degraded_s,
        realtime=table.realtime,
        migrations=tuple(shipped_migrations()),
    )
    return SupabaseRemote(SupabaseStore(table.url, credentials, options, local_projects, uptime_s=uptime_s))


def build_credentials(settings: Settings, environment: Mapping[str, str]) -> Credentials:
    """Raises: InvalidSettings."""
    assert settings.supabase.url is not None

    def read() -> Proofs:
        return _proofs(settings, environment)

    held = read()
    return Credentials(
        settings.supabase.url,
        settings.system_id,
        held.key,
        held.token,
        held.signer,
        read_again=read,
        signed_with=held.signed_with,
    )


def _proofs(settings: Settings, environment: Mapping[str, str]) -> Proofs:
    """As the settings, and the files that they name, have them now. Raises: InvalidSettings."""
    table = settings.supabase
    handed = environment.get("CREDENTIALS_DIRECTORY")

    def secret(name: str, value: str | None, file: Path | None) -> Secret | None:
        return find_secret(value, file, f"supabase-{name}", Path(handed) if handed else None)

    key = secret("key", table.key.get_secret_value() if table.key else None, table.key_file)
    if key is None:
        raise InvalidSettings(
            f"`supabase.url` is set to {table.url}, but there is no key: set CCM_SUPABASE__KEY or `supabase.key_file`."
        )
    given_token = table.system_token.get_secret_value() if table.system_token else None
    token = secret("system-token", given_token, table.system_token_file)
    jwt_secret = secret(
        "jwt-secret", table.jwt_secret.get_secret_value() if table.jwt_secret else None, table.jwt_secret_file
    )
    signing_key = secret("signing-key", None, table.signing_key_file)
    signer = _signer(jwt_secret, signing_key, table.signing_key_id)
    return Proofs(key, token, signer, signing_key or jwt_secret)


def _signer(jwt_secret: Secret | None, signing_key: Secret | None, key_id: str | None) -> Signer | None:
    if signing_key is not None:
        return key_signer(signing_key, key_id)
    return None if jwt_secret is None else shared_signer(jwt_secret)


class SupabaseRemote:
    """As the daemon sees it."""

    def __init__(self, store: SupabaseStore) -> None:
        self._store = store
        self.queue = Queue(SUPABASE, store.tasks, store.reports)

    async def start(self) -> None:
        await self._store.start()

    def report(self, heart: Heart) -> None:
        """After `start`: from now on it beats while the thread of the connections gets on."""
        self._store.loop.spawn(lambda: keep_turning(heart))

    async def stop(self) -> None:
        await self._store.stop()

    def health(self) -> SupabaseHealth:
        return self._store.health()

    def introduce_again(self) -> None:
        self._store.introduce_again()
