"""Whether Realtime would tell this machine of new tasks: it is asked to, and its word that it does is waited for."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass

from ccm_orchestrator.adapters.supabase.listening import UNPUBLISHED, Listening, Signals, ended_by

READY_S = 8.0
"""Three is usual for a project that slept."""
CLOSE_S = 0.5
PUBLISHES = "20261125000003_access"
"""The migration that puts `tasks` into the publication, and may be run again."""


@dataclass(frozen=True, slots=True)
class RealtimeTrouble:
    found: str
    fix: str


async def trouble_with_realtime(url: str, api_key: str, token: str | None, system_id: str) -> RealtimeTrouble | None:
    """None: it is live. Ends after `READY_S`, whatever happens."""
    signals = Signals()
    filters = (f"system_id=eq.{system_id}", "open=eq.true")
    listening = Listening(f"{url}/realtime/v1", api_key, f"doctor:{secrets.token_hex(8)}", filters, signals)
    try:
        async with asyncio.timeout(READY_S):
            await listening.connect(token)
            await listening.join()
            reason = await _ended(signals)
    except TimeoutError:
        reason = f"it did not say within {READY_S:g} s that it delivers changes"
    except Exception as error:  # noqa: BLE001 - the library raises anything
        reason = ended_by(error).reason.replace(api_key, "API_KEY")
    finally:
        await listening.close(CLOSE_S)
    return _trouble(reason) if reason else None


async def _ended(signals: Signals) -> str:
    """Why it ended; empty when it is live."""
    while True:
        news = signals.take()
        if news.ended is not None:
            return news.ended.reason
        if news.ready:
            return ""
        await signals.wait(READY_S)


def _trouble(reason: str) -> RealtimeTrouble:
    if reason == UNPUBLISHED:
        return RealtimeTrouble(
            "the table `tasks` is not in the publication `supabase_realtime`",
            f"Put what `ccm-orchestrator db sql {PUBLISHES}` prints into the dashboard's SQL editor and run it; "
            "or turn on Realtime for `tasks` there (Database, Publications).",
        )
    return RealtimeTrouble(
        reason,
        "Look at the project's Realtime (dashboard: Realtime, Settings) and at proxies that stop WebSockets; "
        "or set `supabase.realtime` to false.",
    )
