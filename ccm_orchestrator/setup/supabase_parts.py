"""Whether a Supabase project has every table and function that the daemon uses, asked without changing anything.

A function that writes is asked by GET, for which PostgREST opens a transaction that cannot write: its refusal is the
proof that it is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import httpx

from ccm_orchestrator.adapters.supabase.answers import BoundedClient
from ccm_orchestrator.adapters.supabase.client import is_loopback
from ccm_orchestrator.errors import StoreUnavailable

TABLES = ("tasks", "systems", "projects", "task_leases", "task_events", "system_metrics", "members")
_NOBODY, _NO_FENCE = "doctor", "0"
_LEASE = {"p_system_id": _NOBODY, "p_boot_id": _NOBODY, "p_lease_s": "1"}
_RUN = {"p_task_id": _NOBODY, "p_fence": _NO_FENCE}
FUNCTIONS: Mapping[str, Mapping[str, str]] = {
    "claim_tasks": {**_LEASE, "p_request_id": _NOBODY, "p_count": "0"},
    "renew_leases": {**_LEASE, "p_keys": "[]"},
    "adopt_task": {**_LEASE, **_RUN},
    "begin_task": {**_RUN, "p_run_id": _NOBODY},
    "mark_task": {**_RUN, "p_status": _NOBODY},
    "finish_task": {**_RUN, "p_result": "{}"},
    "release_task": {**_RUN, "p_release": "{}"},
    "rescue_tasks": {"p_system_id": _NOBODY, "p_takeover_grace_s": "600"},
    "cancel_task": {"p_task_id": _NOBODY},
    "get_task": {"p_task_id": _NOBODY},
    "register_system": {"p_system": "{}"},
    "append_task_events": {"p_system_id": _NOBODY, "p_events": "[]"},
    "record_metrics": {"p_system_id": _NOBODY, "p_metrics": "[]"},
}
"""With arguments that name nothing that exists."""
_MISSING = frozenset({"PGRST202", "PGRST205", "42P01", "42883"})


async def missing_parts(url: str, headers: Mapping[str, str], answer_s: float) -> Sequence[str]:
    """Names, tables first. Raises: StoreUnavailable."""
    asked = {f"table {name}": (name, {"limit": "0"}) for name in TABLES}
    asked |= {f"function {name}": (f"rpc/{name}", dict(arguments)) for name, arguments in FUNCTIONS.items()}
    async with BoundedClient(
        base_url=f"{url}/rest/v1/",
        headers=dict(headers),
        timeout=answer_s,
        trust_env=not is_loopback(url),
        verify=url.startswith("https:"),
    ) as client:
        try:
            found = await asyncio.gather(*(_is_missing(client, path, query) for path, query in asked.values()))
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise StoreUnavailable(f"Supabase at {url} did not answer ({type(error).__name__}).") from error
    return [name for name, missing in zip(asked, found, strict=True) if missing]


async def _is_missing(client: BoundedClient, path: str, query: Mapping[str, str]) -> bool:
    answer = await client.get(path, params=dict(query))
    try:
        document = answer.json()
    except ValueError:
        return False
    return isinstance(document, dict) and document.get("code") in _MISSING
