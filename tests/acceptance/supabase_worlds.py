"""Daemons that serve one Supabase project: what they are told, and what its tables say of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psycopg

from ccm_orchestrator.demo.sandbox import Sandbox
from ccm_orchestrator.devstack.stack import LocalSupabase
from tests.acceptance.worlds import CONFIG, wait_for, world
from tests.invariants import AgentCensus

HEAD = """
lease_s = 6
renew_interval_s = 1
takeover_grace_s = 8
max_agents = 10
"""
PROFILES = """
[profiles.quick]
driver = "generic"
command = ["/bin/sh", "-c", "exit 0"]

[profiles.short]
driver = "generic"
command = ["/bin/sh", "-c", "sleep 0.5"]

[profiles.lasting]
driver = "generic"
command = ["/bin/sh", "-c", "while [ ! -e released ] && [ ! -e released-$CCM_TASK_ID ]; do sleep 0.1; done"]
"""
OPEN_RUNS = "SELECT run_id FROM runs WHERE state <> 'ended'"


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
    """One machine with its own state directory and tmux, whose daemon is not started yet.

    Raises: AssertionError on leaving when two agents worked on one task at a time.
    """
    whole = f"{config}{PROFILES}{served(stack, url)}"
    with world(whole, head=head, system_id=system_id) as sandbox, AgentCensus(sandbox):
        sandbox.overrides.update(secrets(stack))
        yield sandbox


@contextmanager
def machines(stack: LocalSupabase, *names: str, **options: str) -> Iterator[list[Sandbox]]:
    with ExitStack() as exits:
        yield [exits.enter_context(machine(stack, name, **options)) for name in names]


def release(*sandboxes: Sandbox) -> None:
    """Ends all agents of the profile `lasting`."""
    for sandbox in sandboxes:
        (sandbox.project / "released").touch()


def release_one(sandbox: Sandbox, task_id: str) -> None:
    """Ends the agent of this task."""
    (sandbox.project / f"released-{task_id}").touch()


def insert(stack: LocalSupabase, count: int = 1, profile: str = "quick", **columns: object) -> list[str]:
    """Rows by plain SQL, as in the dashboard's editor; their ids."""
    values = {"project": "sample", "prompt": "Do it.", "profile": profile, **columns}
    names, marks = ", ".join(values), ", ".join(f"%({name})s" for name in values)
    statement = f"insert into tasks ({names}) select {marks} from generate_series(1, %(count)s) returning task_id"
    return [str(row[0]) for row in rows(stack, statement, **values, count=count)]


def rows(stack: LocalSupabase, statement: str, **values: object) -> list[tuple[object, ...]]:
    """As the project's owner."""
    with psycopg.connect(stack.owner_url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode(), values)
        return cursor.fetchall() if cursor.description else []


def counts(stack: LocalSupabase) -> dict[str, int]:
    return {str(status): int(str(n)) for status, n in rows(stack, "select status, count(*) from tasks group by 1")}


def status(stack: LocalSupabase, task_id: str) -> str:
    return str(rows(stack, "select status from tasks where task_id = %(id)s", id=task_id)[0][0])


def fence(stack: LocalSupabase, task_id: str) -> int:
    return int(str(rows(stack, "select fence from tasks where task_id = %(id)s", id=task_id)[0][0]))


def wait_status(stack: LocalSupabase, sandbox: Sandbox, task_id: str, *wanted: str, limit_s: float = 60) -> None:
    wait_for(f"{wanted} of {task_id}", lambda: status(stack, task_id) in wanted, sandbox, limit_s)


def wait_done(stack: LocalSupabase, sandbox: Sandbox, count: int, limit_s: float = 60) -> None:
    """Until so many have succeeded, and all of them are told."""
    wait_for(f"{count} successes", lambda: counts(stack).get("succeeded", 0) >= count, sandbox, limit_s)


def state(sandbox: Sandbox) -> str:
    """What the daemon says of its connection."""
    with sandbox.api() as api:
        return str(api.get("/health/supabase").json()["state"])


def wait_state(sandbox: Sandbox, *wanted: str, limit_s: float = 60) -> None:
    wait_for(f"state {wanted}", lambda: state(sandbox) in wanted, sandbox, limit_s)
