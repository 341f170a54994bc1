"""Daemons that serve one Supabase project: what they are told, and what its tables say of it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import psycopg

from ccm_orchestrator.demo.sandbox import Sandbox
from ccm_orchestrator.devstack.stack import LocalSupabase
from tests.acceptance.worlds import CONFIG, world

HEAD = """
lease_s = 6
renew_interval_s = 1
takeover_grace_s = 8
max_agents = 10
"""
QUICK = """
[profiles.quick]
driver = "generic"
command = ["/bin/sh", "-c", "exit 0"]

[profiles.lasting]
driver = "generic"
command = ["/bin/sh", "-c", "while [ ! -e {release} ]; do sleep 0.1; done"]
"""


def served(stack: LocalSupabase, url: str | None = None) -> str:
    """The `[supabase]` table; secrets come by the environment."""
    return f'[supabase]\nurl = "{url or stack.url}"\nsweep_live_s = 2\nsweep_degraded_s = 0.5\n'


def secrets(stack: LocalSupabase) -> dict[str, str]:
    """A publishable key, and the shared secret with which the daemon signs its own tokens."""
    return {"CCM_SUPABASE__KEY": stack.publishable_key, "CCM_SUPABASE__JWT_SECRET": stack.jwt_secret}


@contextmanager
def machine(
    stack: LocalSupabase, system_id: str = "demo", url: str | None = None, head: str = HEAD, config: str = CONFIG
) -> Iterator[Sandbox]:
    """One machine with its own state directory and tmux, whose daemon is not started yet."""
    release = f"/tmp/ccm-release-{uuid.uuid4().hex}"
    profiles = QUICK.replace("{release}", release)
    with world(f"{config}{profiles}{served(stack, url)}", head=head, system_id=system_id) as sandbox:
        sandbox.overrides.update(secrets(stack))
        sandbox.release = release  # type: ignore[attr-defined]
        yield sandbox


@contextmanager
def machines(stack: LocalSupabase, names: Sequence[str], **options: str) -> Iterator[list[Sandbox]]:
    with ExitStack() as exits:
        yield [exits.enter_context(machine(stack, name, **options)) for name in names]


def insert(stack: LocalSupabase, count: int = 1, profile: str = "quick", **columns: object) -> list[str]:
    """Rows by plain SQL, as in the dashboard's editor; their ids."""
    values = {"project": "sample", "prompt": "Do it.", "profile": profile, **columns}
    names, marks = ", ".join(values), ", ".join(f"%({name})s" for name in values)
    statement = f"insert into tasks ({names}) select {marks} from generate_series(1, %(count)s) returning task_id"
    return [row[0] for row in rows(stack, statement, **values, count=count)]


def rows(stack: LocalSupabase, statement: str, **values: object) -> list[tuple[object, ...]]:
    """As the project's owner."""
    with psycopg.connect(stack.owner_url, autocommit=True) as connection:
        cursor = connection.execute(statement, values)  # type: ignore[call-overload]
        return cursor.fetchall() if cursor.description else []


def counts(stack: LocalSupabase) -> dict[str, int]:
    return {str(status): int(str(n)) for status, n in rows(stack, "select status, count(*) from tasks group by 1")}
