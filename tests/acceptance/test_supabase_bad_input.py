"""A Supabase project that is set up wrongly, and rows that cannot be carried out.

One clear sentence in the log, in `/health/supabase` or on the row; claims stop where they must, and everything else
goes on. What the doctor says of the same, tests/unit/setup/test_supabase_checks.py shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from ccm_orchestrator.adapters.supabase.migrations import script, shipped_migrations
from ccm_orchestrator.demo.sandbox import Sandbox
from ccm_orchestrator.devstack.stack import LocalSupabase
from tests.acceptance.supabase_worlds import insert, machine, rows, secrets
from tests.acceptance.worlds import wait_for, wait_status
from tests.invariants import check_invariants
from tests.supabase_http import sql

pytestmark = [pytest.mark.tmux, pytest.mark.slow]

MENDED_S = 150
"""After which the daemon has looked again whether a person mended something: it does so every minute."""


# --- looking ---


def health(sandbox: Sandbox) -> dict[str, Any]:
    with sandbox.api() as api:
        return dict(api.get("/health/supabase").json())


def said(sandbox: Sandbox) -> list[str]:
    """Warnings about Supabase in the daemon's log."""
    lines = (sandbox.directory / "serve.log").read_text(errors="replace").splitlines()
    return [line for line in lines if "supabase" in line and " WARNING " in line.upper().replace("]", " ")]


def wait_said(sandbox: Sandbox, words: str) -> None:
    wait_for(f"{words!r} in the log", lambda: any(words in line for line in said(sandbox)), sandbox)


def on_row(stack: LocalSupabase, task_id: str) -> tuple[object, ...]:
    return rows(stack, "select status, hold_reason, hold_detail from tasks where task_id = %(id)s", id=task_id)[0]


def wait_row(stack: LocalSupabase, sandbox: Sandbox, task_id: str, wanted: str, limit_s: float = 60) -> str:
    """Until the row has this status; the sentence on it."""
    wait_for(f"{wanted} of row {task_id}", lambda: on_row(stack, task_id)[0] == wanted, sandbox, limit_s)
    return str(on_row(stack, task_id)[2])


def local_work_goes_on(sandbox: Sandbox) -> None:
    wait_status(sandbox, sandbox.insert_task("Do it.", profile="quick"), "succeeded")


def is_in_trouble(sandbox: Sandbox, state: str, words: str) -> None:
    """Told in the log and by the health check, and nothing else suffers."""
    wait_for(f"state {state}", lambda: health(sandbox)["state"] == state, sandbox)
    wait_for(f"{words!r}", lambda: words in health(sandbox)["last_error"], sandbox)
    wait_said(sandbox, words)
    local_work_goes_on(sandbox)
    with sandbox.api() as api:
        assert api.get("/health/supabase").status_code == 503
        assert api.get("/health").status_code == 200
    assert "Traceback" not in (sandbox.directory / "serve.log").read_text()


def says_it_once(sandbox: Sandbox, words: str) -> None:
    """Each part of the daemon that misses Supabase says so, and none of them again and again."""
    assert 1 <= len([line for line in said(sandbox) if words in line]) <= 4, sandbox.log_tail()


# --- where nothing can be asked ---


@contextmanager
def website() -> Iterator[str]:
    """A page for people, whatever is asked."""

    class Page(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", "20")
            self.end_headers()
            self.wfile.write(b"<html>Welcome</html>")

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_wrong_address(supabase: LocalSupabase, unused_tcp_port: int) -> None:
    with machine(supabase, url=f"http://127.0.0.1:{unused_tcp_port}") as sandbox:
        sandbox.start_daemon()
        is_in_trouble(sandbox, "away", "cannot be reached")
        says_it_once(sandbox, "cannot be reached")
        check_invariants(sandbox)


def test_a_website_at_the_address(supabase: LocalSupabase) -> None:
    with website() as url, machine(supabase, url=url) as sandbox:
        sandbox.start_daemon()
        is_in_trouble(sandbox, "away", "does not answer as Supabase does")


WRONG_KEYS: dict[str, Callable[[LocalSupabase], tuple[dict[str, str | None], str]]] = {
    "unknown key": lambda s: (
        {"CCM_SUPABASE__KEY": "sb_secret_of_nobody", "CCM_SUPABASE__JWT_SECRET": None},
        "does not accept the key or token of this system (Invalid API key): `ccm-orchestrator doctor`",
    ),
    "unknown secret": lambda s: (
        {"CCM_SUPABASE__JWT_SECRET": "wrong" * 10},
        "does not accept the key or token of this system",
    ),
    "publishable key alone": lambda s: (
        {"CCM_SUPABASE__JWT_SECRET": None},
        "is a publishable key, with which nobody may claim tasks: set `supabase.signing_key_file`",
    ),
    "a token in place of the key": lambda s: (
        {"CCM_SUPABASE__KEY": s.token(system_id="demo")},
        "is the token of a user and no API key: put it into `supabase.system_token`",
    ),
    "a token of another machine": lambda s: (
        {"CCM_SUPABASE__JWT_SECRET": None, "CCM_SUPABASE__SYSTEM_TOKEN": s.token(system_id="there")},
        "is of the system 'there', but this one is 'demo'",
    ),
}


@pytest.mark.parametrize("key", WRONG_KEYS)
def test_a_wrong_key_stops_claims_and_nothing_else(supabase: LocalSupabase, key: str) -> None:
    variables, words = WRONG_KEYS[key](supabase)
    with machine(supabase) as sandbox:
        sandbox.overrides.update(variables)
        (task_id,) = insert(supabase)
        sandbox.start_daemon()
        is_in_trouble(sandbox, "refused", words)
        says_it_once(sandbox, words)
        assert rows(supabase, "select status, fence from tasks where task_id = %(id)s", id=task_id) == [("queued", 0)]
        log = (sandbox.directory / "serve.log").read_text()
        assert not any(value in log for value in sandbox.overrides.values() if value)


def test_without_a_key_the_daemon_says_so_and_does_not_start(supabase: LocalSupabase) -> None:
    with machine(supabase) as sandbox:
        sandbox.overrides["CCM_SUPABASE__KEY"] = None
        process = sandbox.start_daemon(wait=False)
        assert process.wait(30) == 2
        assert "there is no key: set CCM_SUPABASE__KEY or `supabase.key_file`" in sandbox.log_tail()
        assert "Traceback" not in sandbox.log_tail()


# --- a database that is not as it should be ---


def nothing_of_ours(stack: LocalSupabase) -> None:
    for statement in ("drop function schema_state", "drop function claim_tasks", "delete from ccm.migrations"):
        rows(stack, statement)
    stack.reload_schema()


@pytest.mark.timeout(300)
def test_a_database_that_was_not_migrated_is_served_as_soon_as_it_is(own_supabase: LocalSupabase) -> None:
    (task_id,) = insert(own_supabase)
    nothing_of_ours(own_supabase)
    with machine(own_supabase) as sandbox:
        sandbox.start_daemon()
        words = "has no function `schema_state` as this version calls it: run `ccm-orchestrator db migrate`"
        is_in_trouble(sandbox, "refused", words)
        says_it_once(sandbox, words)
        own_supabase.migrate()
        wait_row(own_supabase, sandbox, task_id, "succeeded", MENDED_S)
        wait_for("a live connection", lambda: health(sandbox)["state"] == "live", sandbox)


def test_a_migration_is_missing(own_supabase: LocalSupabase) -> None:
    newest = [*shipped_migrations()][-1]
    rows(own_supabase, "delete from ccm.migrations where name = %(name)s", name=newest)
    with machine(own_supabase) as sandbox:
        sandbox.start_daemon()
        words = f"lacks the migration {newest}: run `ccm-orchestrator db migrate`"
        is_in_trouble(sandbox, "refused", words)
        says_it_once(sandbox, words)


@pytest.mark.timeout(300)
def test_a_function_that_goes_missing_stops_claims_until_it_is_back(own_supabase: LocalSupabase) -> None:
    with machine(own_supabase) as sandbox:
        sandbox.start_daemon()
        wait_row(own_supabase, sandbox, insert(own_supabase)[0], "succeeded")
        rows(own_supabase, "drop function claim_tasks")
        own_supabase.reload_schema()
        (task_id,) = insert(own_supabase)
        words = "has no function `claim_tasks` as this version calls it"
        is_in_trouble(sandbox, "refused", words)
        says_it_once(sandbox, words)
        sql(own_supabase, script([*shipped_migrations()]))  # as the doctor says; nothing of it is pending
        wait_row(own_supabase, sandbox, task_id, "succeeded", MENDED_S)


def test_the_table_is_not_in_the_publication(own_supabase: LocalSupabase) -> None:
    """Realtime only wakes: tasks are noticed a little later."""
    rows(own_supabase, "alter publication supabase_realtime drop table tasks")
    with machine(own_supabase) as sandbox:
        sandbox.start_daemon()
        wait_said(sandbox, "`tasks` is not in the publication `supabase_realtime`; `ccm-orchestrator doctor` says")
        wait_row(own_supabase, sandbox, insert(own_supabase)[0], "succeeded")
        told = health(sandbox)
        assert told["state"] == "degraded" and "is not in the publication" in told["subscriber"]
        says_it_once(sandbox, "is not in the publication")


# --- clocks ---

AN_HOUR_OFF = """
import time
real = time.time
time.time = lambda: real() + {off_s}
"""


@pytest.mark.parametrize(("off_s", "words"), [(5400, "1.5 hours ahead of"), (-5400, "1.5 hours behind")])
def test_a_clock_an_hour_off_is_told_and_stops_nothing(
    supabase: LocalSupabase, tmp_path: Path, off_s: int, words: str
) -> None:
    (tmp_path / "sitecustomize.py").write_text(AN_HOUR_OFF.format(off_s=off_s))
    with machine(supabase) as sandbox:
        sandbox.overrides["PYTHONPATH"] = str(tmp_path)
        sandbox.start_daemon()
        wait_row(supabase, sandbox, insert(supabase)[0], "succeeded")
        sentence = f"This machine's clock is {words} the Supabase server's: set it right"
        wait_said(sandbox, sentence)
        says_it_once(sandbox, sentence)
        assert sentence in " ".join(health(sandbox)["warnings"])


# --- a key that is revoked while an agent works ---


def test_a_revoked_key_stops_claims_and_agents_go_on(own_supabase: LocalSupabase) -> None:
    with machine(own_supabase) as sandbox:
        sandbox.start_daemon()
        (working,) = insert(own_supabase, profile="lasting")
        wait_row(own_supabase, sandbox, working, "running")
        own_supabase.rotate_jwt_secret()
        (later,) = insert(own_supabase)
        is_in_trouble(sandbox, "refused", "does not accept the key or token of this system")
        (sandbox.project / "released").touch()
        ended = "SELECT 1 FROM runs WHERE task_id = ? AND state = 'ended'"
        wait_for("the end of the agent", lambda: sandbox.query(ended, working), sandbox)
        assert (on_row(own_supabase, working)[0], on_row(own_supabase, later)[0]) == ("running", "queued")
        sandbox.stop_daemon()
        sandbox.overrides.update(secrets(own_supabase))
        sandbox.start_daemon()
        for task_id in (working, later):
            wait_row(own_supabase, sandbox, task_id, "succeeded")
        assert sandbox.query("SELECT count(*) FROM runs WHERE task_id = ?", working) == [(1,)]
        check_invariants(sandbox)


# --- rows ---


def test_rows_that_cannot_be_carried_out_are_held_with_one_sentence(supabase: LocalSupabase) -> None:
    with machine(supabase) as sandbox:
        sandbox.start_daemon()
        bad = {
            insert(supabase, project="nowhere")[0]: "There is no project named 'nowhere': add it with",
            insert(supabase, prompt="x" * 4_000_001)[0]: "The prompt is over 4000000 bytes: put the material in a file",
            insert(supabase, prompt=" \n")[0]: "The prompt is empty: say what the agent should do.",
            insert(supabase, after=["nosuchtask"])[0]: "It waits for task 'nosuchtask', which does not exist",
            insert(supabase, profile="ghost")[0]: "The profile `ghost` is not configured",
        }
        for task_id, words in bad.items():
            assert words in wait_row(supabase, sandbox, task_id, "held"), on_row(supabase, task_id)
            shown = " ".join(sandbox.run("task", "show", task_id).stdout.split())
            assert words[:40] in shown, shown
        wait_row(supabase, sandbox, insert(supabase)[0], "succeeded")
        local_work_goes_on(sandbox)
        check_invariants(sandbox)


def test_a_prompt_of_nearly_four_megabytes_is_carried_out(supabase: LocalSupabase) -> None:
    with machine(supabase) as sandbox:
        sandbox.start_daemon()
        wait_row(supabase, sandbox, insert(supabase, prompt="x" * 3_900_000)[0], "succeeded")
