"""The Supabase project that this machine serves: from its settings to the other machines. Nothing is changed there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ccm_orchestrator.adapters.supabase.client import RestClient
from ccm_orchestrator.adapters.supabase.credentials import Credentials
from ccm_orchestrator.adapters.supabase.health import NOTABLE_SKEW_S, HealthRecorder, skew_sentence
from ccm_orchestrator.adapters.supabase.keys import KeyKind
from ccm_orchestrator.adapters.supabase.loop import StoreLoop
from ccm_orchestrator.adapters.supabase.migrations import shipped_migrations
from ccm_orchestrator.adapters.supabase.systems import SchemaState, problem_with_schema, schema_state
from ccm_orchestrator.adapters.supabase.tasks import SupabaseTaskStore
from ccm_orchestrator.domain.presence import SILENT_AFTER
from ccm_orchestrator.errors import InvalidSettings, SchemaTooOld, StoreError, StoreRefused
from ccm_orchestrator.ports.systems import SystemView
from ccm_orchestrator.settings import Settings
from ccm_orchestrator.setup.check import Check, Verdict
from ccm_orchestrator.setup.realtime_check import trouble_with_realtime
from ccm_orchestrator.setup.state_checks import registered_projects
from ccm_orchestrator.setup.supabase_parts import missing_parts
from ccm_orchestrator.wiring.remote import build_credentials

ANSWER_S = 5.0
REST_S = 9.0
"""For all that is asked after the first answer, at the same time."""
GUIDE = "docs/supabase.md"

_NOTHING_HAPPENS = "Until that is mended, no task of this project is taken here. Agents and local tasks go on."


@dataclass(frozen=True, slots=True)
class _Visit:
    settings: Settings
    credentials: Credentials
    client: RestClient
    recorder: HealthRecorder

    @property
    def url(self) -> str:
        return self.client.url

    @property
    def system_id(self) -> str:
        return self.settings.system_id


async def supabase(settings: Settings, environment: Mapping[str, str]) -> list[Check]:
    """No check when no project is configured. Takes 15 s at the most, whatever the network does."""
    if settings.supabase.url is None:
        return []
    try:
        credentials = build_credentials(settings, environment)
    except InvalidSettings as error:
        return [_failed("settings", error.message, f"Mend what the sentence says; {GUIDE} shows the settings.")]
    if problem := credentials.problem() or credentials.expired():
        return [_failed("settings", problem, f"Mend what the sentence says; {GUIDE} says which key is for what.")]
    async with _visit(settings, credentials) as visit:
        return [_settings(credentials), *await _asked(visit)]


@asynccontextmanager
async def _visit(settings: Settings, credentials: Credentials) -> AsyncIterator[_Visit]:
    assert settings.supabase.url is not None
    loop, recorder = StoreLoop("doctor"), HealthRecorder()
    loop.start()
    client = RestClient(settings.supabase.url, credentials, loop, recorder, budget_s=0.0, answer_s=ANSWER_S)
    client.open()
    try:
        yield _Visit(settings, credentials, client, recorder)
    finally:
        await client.close()
        await asyncio.to_thread(loop.stop)


async def _asked(visit: _Visit) -> list[Check]:
    """What one answer tells, and then, with the network known to work, everything else at once."""
    began = time.monotonic()
    try:
        state = await schema_state(visit.client)
    except StoreError as error:
        return [*_unasked(error, visit)]
    found = f"{visit.url} answers, {(time.monotonic() - began) * 1000:.0f} ms"
    checks = [_ok("address", found), _key(visit), _schema(state), _clock(visit)]
    rest = await asyncio.gather(
        _bounded("parts", _parts(visit)), _bounded("identity", _machines(visit)), _bounded("realtime", _realtime(visit))
    )
    return [*checks, *(check for group in rest for check in group)]


async def _bounded(name: str, checks: Coroutine[Any, Any, list[Check]]) -> list[Check]:
    try:
        async with asyncio.timeout(REST_S):
            return await checks
    except TimeoutError:
        return [_failed(name, f"no answer within {REST_S:g} s", "Look at the network, then run the doctor again.")]
    except StoreError as error:
        return [_failed(name, error.message, "Run the doctor again; the daemon's log says more.")]


# --- before the first answer ---


def _settings(credentials: Credentials) -> Check:
    return _ok("settings", f"{credentials.kind} key; who this machine is, it proves by {credentials.proof}")


def _unasked(error: StoreError, visit: _Visit) -> Iterator[Check]:
    """Why there was none; what must have been right for that is told, too."""
    status, code = getattr(error, "status", None), str(getattr(error, "code", None) or "")
    if isinstance(error, SchemaTooOld):
        yield from (_ok("address", f"{visit.url} answers"), _key(visit))
        yield _failed("schema", f"nothing of ccm-orchestrator is there: {error.message}", _MIGRATE)
    elif status == 401 and not code.startswith("PGRST3"):
        yield _ok("address", f"{visit.url} answers")
        yield _failed(
            "key", error.message, f"Copy a key of this project: dashboard, Project Settings, API Keys ({GUIDE})."
        )
    elif status in (401, 403):
        yield _ok("address", f"{visit.url} answers")
        yield _failed("identity", error.message, _prove_again(visit))
    else:
        look = f"`curl -i {visit.url}/rest/v1/`"
        yield _failed(
            "address", error.message, f"Compare `supabase.url` with the dashboard's Data API page; try {look}."
        )


def _prove_again(visit: _Visit) -> str:
    return (
        f"Its proof is {visit.credentials.proof}: take a key, secret or token that the project knows today, "
        f'for the system `{visit.system_id}` ({GUIDE}, "Which proof of identity").'
    )


# --- by the first answer ---


def _key(visit: _Visit) -> Check:
    kind = visit.credentials.kind
    if kind not in (KeyKind.SECRET, KeyKind.SERVICE):
        return _ok("key", f"accepted, {kind}")
    why = "It opens the whole project, every table of it: whoever reads it on this machine has all of that."
    fix = f'Use the publishable key and a proof of this machine\'s own ({GUIDE}, "Which proof of identity").'
    return _warned("key", f"accepted, {kind}", why, fix)


def _schema(state: SchemaState) -> Check:
    problem = problem_with_schema(state, tuple(shipped_migrations()))
    if problem is None:
        return _ok("schema", f"up to date ({state.newest})")
    return _failed("schema", problem.message, _MIGRATE if isinstance(problem, SchemaTooOld) else _UPGRADE)


_MIGRATE = (
    "Run `ccm-orchestrator db migrate`, or put what `ccm-orchestrator db sql` prints into the dashboard's SQL editor "
    "and run it."
)
_UPGRADE = "Upgrade ccm-orchestrator on this machine to the version of the machine that migrated."


def _clock(visit: _Visit) -> Check:
    skew_s = visit.recorder.snapshot().clock_skew_s
    if abs(skew_s) <= NOTABLE_SKEW_S:
        return _ok("clock", f"{datetime.now(UTC):%H:%M:%S} UTC, {abs(skew_s):.0f} s from the server's")
    why = "Tasks go on, for the server's clock decides; but times in logs and results are wrong, and TLS may fail."
    return _warned("clock", skew_sentence(skew_s), why, "Run `timedatectl set-ntp true`.")


# --- after it ---


async def _parts(visit: _Visit) -> list[Check]:
    missing = await missing_parts(visit.url, visit.credentials.headers(), ANSWER_S)
    if not missing:
        return [_ok("parts", "all tables and functions are there")]
    fix = (
        "Run `ccm-orchestrator db migrate`. If it finds nothing to do, put what `ccm-orchestrator db sql` prints into "
        "the dashboard's SQL editor and run it: it makes again what is missing."
    )
    return [_failed("parts", f"missing: {', '.join(missing)}", fix)]


async def _machines(visit: _Visit) -> list[Check]:
    """This one, as the project sees it, and the others."""
    store = SupabaseTaskStore(visit.client, visit.system_id)
    try:
        announced = {project.name for project in await store.projects()}
    except StoreRefused as error:
        return [_failed("identity", error.message, _prove_again(visit))]
    systems = await store.systems()
    return [
        _ok("identity", f"accepted as system {visit.system_id}"),
        _projects(announced, registered_projects(visit.settings.database)),
        _this_one(systems, visit.system_id),
        _others(systems, visit.system_id),
    ]


def _projects(announced: set[str], registered: Mapping[str, object]) -> Check:
    if not registered:
        why = "This machine takes only tasks of projects that are registered on it."
        fix = "Run `ccm-orchestrator project add DIRECTORY`."
        return _warned("projects", "none is registered on this machine", why, fix)
    if unknown := sorted(set(registered) - announced):
        why = "Tasks of these projects are not taken here before the daemon has announced them."
        fix = "Start the daemon (`ccm-orchestrator serve`), which announces them."
        return _warned("projects", f"not announced: {', '.join(unknown)}", why, fix)
    return _ok("projects", f"announced: {', '.join(sorted(registered))}")


def _this_one(systems: Sequence[SystemView], here: str) -> Check:
    if any(system.draining for system in systems if system.system_id == here):
        why = "It finishes what it has and takes nothing new."
        return _warned("system", f"{here} is drained", why, "Run `ccm-orchestrator system drain --off`.")
    known = any(system.system_id == here for system in systems)
    return _ok("system", f"{here} is known" if known else f"{here} is not known yet; its daemon introduces it")


def _others(systems: Sequence[SystemView], here: str) -> Check:
    others = [system for system in systems if system.system_id != here]
    silent = [system for system in others if system.silent_s > SILENT_AFTER.total_seconds()]
    if not silent:
        return _ok(
            "other systems", f"{len(others)}, all heard of within {SILENT_AFTER.total_seconds() / 60:.0f} minutes"
        )
    found = ", ".join(f"{system.system_id} ({_ago(system.silent_s)})" for system in silent)
    why = "What they work on is taken over only after the takeover grace; what is meant for them alone waits."
    fix = "Look at those machines. One that is gone for good: `delete from systems where system_id = 'ITS_ID'`."
    return _warned("other systems", f"silent: {found}", why, fix)


def _ago(seconds: float) -> str:
    minutes = seconds / 60
    return f"{minutes:.0f} minutes" if minutes < 120 else f"{minutes / 60:.0f} hours"


async def _realtime(visit: _Visit) -> list[Check]:
    if not visit.settings.supabase.realtime:
        return [_ok("realtime", "off, by `supabase.realtime`")]
    bearer = visit.credentials.bearer()
    key, token = visit.credentials.key.reveal(), None if bearer is None else bearer.reveal()
    problem = await trouble_with_realtime(visit.url, key, token, visit.system_id)
    if not problem:
        return [_ok("realtime", "tells of new tasks")]
    why = f"New tasks are noticed by looking, every {visit.settings.supabase.sweep_degraded_s:g} s; nothing is lost."
    return [_warned("realtime", problem.found, why, problem.fix)]


# --- how it is said ---


def _ok(name: str, found: str) -> Check:
    return Check(f"supabase {name}", Verdict.OK, found)


def _warned(name: str, found: str, why: str, fix: str) -> Check:
    return Check(f"supabase {name}", Verdict.WARN, found, why, fix)


def _failed(name: str, found: str, fix: str) -> Check:
    return Check(f"supabase {name}", Verdict.FAIL, found, _NOTHING_HAPPENS, fix)
