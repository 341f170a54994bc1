"""The users of the Supabase project, built from the settings. Imported only where some may call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from ccm_orchestrator.domain.caller import Scope
from ccm_orchestrator.errors import InvalidSettings
from ccm_orchestrator.security.jwks import Fetch, PublishedKeys, fetcher
from ccm_orchestrator.security.secrets import Secret, find_secret
from ccm_orchestrator.security.user_tokens import Keys, SharedSecret, UserTokens
from ccm_orchestrator.settings import Settings
from ccm_orchestrator.settings.types import is_loopback_url

SHORTEST_SHARED_SECRET = 32
"""Characters that a secret for HS256 must have at least."""


def build_users(settings: Settings, environment: Mapping[str, str], uptime_s: Callable[[], float]) -> UserTokens:
    """Nothing is asked yet. Raises: InvalidSettings."""
    users = settings.users
    keys = _keys(settings, environment, uptime_s)
    grants = {user: frozenset(map(Scope, scopes)) for user, scopes in users.grants.items()}
    return UserTokens(issuer_of(settings), users.audience, keys, frozenset(map(Scope, users.scopes)), grants)


def issuer_of(settings: Settings) -> str:
    """Raises: InvalidSettings."""
    if settings.users.issuer is not None:
        return settings.users.issuer
    if settings.supabase.url is None:
        raise InvalidSettings(
            "`users.scopes` or `users.grants` lets users call, but nothing says whose tokens to believe: set "
            "`supabase.url` or `users.issuer`."
        )
    return f"{settings.supabase.url}/auth/v1"


def fetch_from(settings: Settings) -> tuple[str, Fetch]:
    """Where the project publishes its keys, and what asks there. Raises: InvalidSettings."""
    url = settings.users.jwks_url or f"{issuer_of(settings)}/.well-known/jwks.json"
    return url, fetcher(url, trust_environment=not is_loopback_url(url))


def _keys(settings: Settings, environment: Mapping[str, str], uptime_s: Callable[[], float]) -> Keys:
    if settings.users.verify_by == "shared_secret":
        return SharedSecret(_shared_secret(settings, environment))
    return PublishedKeys(fetch_from(settings)[1], uptime_s)


def _shared_secret(settings: Settings, environment: Mapping[str, str]) -> Secret:
    table, handed = settings.supabase, environment.get("CREDENTIALS_DIRECTORY")
    given = table.jwt_secret.get_secret_value() if table.jwt_secret else None
    secret = find_secret(given, table.jwt_secret_file, "supabase-jwt-secret", Path(handed) if handed else None)
    if secret is None or len(secret.reveal()) < SHORTEST_SHARED_SECRET:
        raise InvalidSettings(
            '`users.verify_by` is "shared_secret", which needs `supabase.jwt_secret` (or its file) with at least '
            f"{SHORTEST_SHARED_SECRET} characters: copy it from the project's settings, JWT keys, legacy JWT secret."
        )
    return secret
