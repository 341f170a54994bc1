"""Who may come in from elsewhere: the second door, and the users of a Supabase project."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import httpx
from cryptography import x509

from ccm_orchestrator.errors import InvalidSettings
from ccm_orchestrator.security.doors import RemoteAddress
from ccm_orchestrator.security.jwks import read_keys
from ccm_orchestrator.settings import Settings
from ccm_orchestrator.setup.check import Check, Verdict
from ccm_orchestrator.wiring.building import build_second_door
from ccm_orchestrator.wiring.users import build_users, fetch_from

SOON = timedelta(days=14)
GUIDE = "docs/api.md, `Who is calling`"


def second_door(settings: Settings, now: datetime) -> list[Check]:
    """No check when other machines are not let in."""
    try:
        door = build_second_door(settings)
    except InvalidSettings as error:
        return [Check("second door", Verdict.FAIL, error.message, "The daemon does not start like this.", GUIDE)]
    return [] if door is None else [_open_door(door, now)]


def _open_door(door: RemoteAddress, now: datetime) -> Check:
    where = f"{door.host} port {door.port}"
    if door.tls is None:
        why = "Keys cross the network in the open, for everybody on it to read and to use."
        fix = "Set `remote.tls_certificate` and `remote.tls_key`, unless the network is private by other means."
        return Check("second door", Verdict.WARN, f"{where}, without TLS", why, fix)
    ends = x509.load_pem_x509_certificate(door.tls.certificate.read_bytes()).not_valid_after_utc
    if ends - now < SOON:
        tense = "ended" if ends <= now else "ends"
        why, fix = "Clients refuse a certificate that has ended.", "Renew it, then restart the daemon: agents go on."
        return Check("second door", Verdict.WARN, f"{where}; its certificate {tense} on {ends:%Y-%m-%d}", why, fix)
    return Check("second door", Verdict.OK, f"{where}, with a certificate until {ends:%Y-%m-%d}")


async def users(settings: Settings, environment: Mapping[str, str]) -> list[Check]:
    """No check when no user is let in. Takes a few seconds at the most."""
    if not (settings.users.scopes or settings.users.grants):
        return []
    why = "Until that is mended, no user of the project is let in. Everybody else is."
    try:
        build_users(settings, environment, lambda: 0.0)
    except InvalidSettings as error:
        return [Check("users", Verdict.FAIL, error.message, "The daemon does not start like this.", GUIDE)]
    if settings.users.verify_by == "shared_secret":
        return [Check("users", Verdict.OK, "their tokens are verified with the shared secret")]
    url, fetch = fetch_from(settings)
    try:
        found = read_keys(await fetch())
    except (httpx.HTTPError, TimeoutError, ValueError) as error:
        said = f"{url} does not tell the project's keys ({type(error).__name__}: {error})"
        return [Check("users", Verdict.WARN, said, why, "Compare `supabase.url` or `users.jwks_url` with the project.")]
    if not found:
        fix = 'Create a signing key in the project, or set `users.verify_by = "shared_secret"` for an older project.'
        return [Check("users", Verdict.WARN, f"{url} tells no key that can be used", why, fix)]
    return [Check("users", Verdict.OK, f"{len(found)} keys of the project at {url}")]
