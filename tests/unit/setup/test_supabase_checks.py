"""What the doctor says of a Supabase project, right, or wrong in every way that a person can get it wrong."""

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from ccm_orchestrator.adapters.sqlite.database import Database
from ccm_orchestrator.adapters.supabase.credentials import Credentials
from ccm_orchestrator.adapters.supabase.migrations import shipped_migrations
from ccm_orchestrator.devstack.faults import WrongAnswer
from ccm_orchestrator.devstack.stack import LocalSupabase
from ccm_orchestrator.settings import Settings, load_settings
from ccm_orchestrator.setup import realtime_check
from ccm_orchestrator.setup.check import Check, Verdict
from ccm_orchestrator.setup.supabase_checks import supabase as checks_of
from ccm_orchestrator.wiring import remote
from tests.serving import answering
from tests.supabase_http import Caller, sql

LONGEST_S = 15.0
HERE = "here"
ALL = ("settings", "address", "key", "schema", "clock", "parts", "identity", "projects", "system", "other systems")

Change = Callable[[LocalSupabase], object]


class Desk:
    """A machine of which one project is registered, and what the doctor finds there."""

    def __init__(self, directory: Path, stack: LocalSupabase) -> None:
        self.directory = directory
        self.table: dict[str, object] = {
            "url": stack.url,
            "key": stack.publishable_key,
            "jwt_secret": stack.jwt_secret,
        }

    @property
    def settings(self) -> Settings:
        table = {name: value for name, value in self.table.items() if value is not None}
        flags = {"state_directory": str(self.directory / "state"), "system_id": HERE, "supabase": table}
        return load_settings(flags=flags)

    async def register_project(self, name: str = "demo") -> None:
        database = Database(self.settings.database)
        await database.open()
        await database.close()
        with closing(sqlite3.connect(self.settings.database)) as connection, connection:
            connection.execute("INSERT INTO projects (name, path) VALUES (?, '/')", (name,))

    async def found(self, **table: object) -> dict[str, Check]:
        self.table |= table
        began = time.monotonic()
        checks = await checks_of(self.settings, {})
        assert time.monotonic() - began < LONGEST_S
        assert all(check.found for check in checks)
        assert all(bool(check.why and check.fix) is (check.verdict is not Verdict.OK) for check in checks)
        return {check.name.removeprefix("supabase "): check for check in checks}

    async def wrong(self, **table: object) -> tuple[str, Check]:
        """The one check that failed, or that is to be looked at."""
        ((name, check),) = [(n, c) for n, c in (await self.found(**table)).items() if c.verdict is not Verdict.OK]
        return name, check


@pytest.fixture(autouse=True)
def away_from_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


@contextmanager
def introduced(stack: LocalSupabase, system_id: str) -> Iterator[Caller]:
    """The daemon of a machine, which was here."""
    with closing(Caller(stack, stack.token(system_id=system_id))) as caller:
        caller.register(system_id)
        caller.has_project(system_id)
        yield caller


@pytest.fixture
def system(supabase: LocalSupabase) -> Iterator[Caller]:
    with introduced(supabase, HERE) as caller:
        yield caller


@pytest.fixture
async def desk(tmp_path: Path, supabase: LocalSupabase, system: Caller) -> Desk:
    return await ready(tmp_path, supabase)


@pytest.fixture
async def own_desk(tmp_path: Path, own_supabase: LocalSupabase) -> Desk:
    """Of a stack that may be broken."""
    with introduced(own_supabase, HERE):
        return await ready(tmp_path, own_supabase)


async def ready(directory: Path, stack: LocalSupabase) -> Desk:
    desk = Desk(directory, stack)
    await desk.register_project()
    return desk


# --- all is well ---


async def test_without_a_project_nothing_is_asked(desk: Desk) -> None:
    assert await desk.found(url=None) == {}


async def test_all_is_well(desk: Desk) -> None:
    found = await desk.found()
    assert [*found] == [*ALL, "realtime"]
    assert {check.verdict for check in found.values()} == {Verdict.OK}


async def test_asking_changes_nothing(tmp_path: Path, supabase: LocalSupabase) -> None:
    desk = Desk(tmp_path, supabase)
    name, check = await desk.wrong()
    assert name == "projects" and "project add" in check.fix
    for table in ("public.systems", "public.tasks", "public.system_metrics", "ccm.claim_requests", "ccm.late_results"):
        assert sql(supabase, f"select count(*) from {table}") == [(0,)], table


async def test_realtime_that_is_not_wanted_is_not_asked(desk: Desk) -> None:
    assert "off" in (await desk.found(realtime=False))["realtime"].found


# --- settings ---


async def test_no_key(desk: Desk) -> None:
    name, check = await desk.wrong(key=None)
    assert name == "settings" and "CCM_SUPABASE__KEY" in check.found


async def test_a_key_file_that_others_can_read(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("sb_publishable_x")
    file.chmod(0o644)
    name, check = await desk.wrong(key=None, key_file=str(file))
    assert name == "settings" and f"chmod 600 {file}" in check.found


KINDS: Mapping[str, Callable[[LocalSupabase], tuple[dict[str, object], str]]] = {
    "publishable and no proof": lambda s: ({"jwt_secret": None}, "is a publishable key, with which nobody may claim"),
    "a token in place of the key": lambda s: ({"key": s.token(system_id=HERE)}, "is the token of a user"),
    "no key at all": lambda s: ({"key": "eyJhbGciOi", "jwt_secret": None}, "is no key of a Supabase project"),
    "a token of another machine": lambda s: (
        {"jwt_secret": None, "system_token": s.token(system_id="there")},
        "is of the system 'there', but this one is 'here'",
    ),
    "a key in place of the token": lambda s: ({"jwt_secret": None, "system_token": s.anon_key}, "has the role 'anon'"),
    "a token whose time is over": lambda s: (
        {"jwt_secret": None, "system_token": s.token(system_id=HERE, exp=int(time.time()) - 60)},
        "`supabase.system_token` expired at",
    ),
    "a key in place of the secret": lambda s: ({"jwt_secret": "sb_secret_short"}, "is no JWT secret"),
    "a key of another project": lambda s: (
        {"url": "https://abcdefghijklmnopqrst.supabase.co", "key": s.keys.token("anon", ref="zyxwvutsrqponmlkjihg")},
        "is of the project 'zyxwvutsrqponmlkjihg'",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_key_of_the_other_kind_is_found_without_asking(desk: Desk, supabase: LocalSupabase, kind: str) -> None:
    table, words = KINDS[kind](supabase)
    asked = len(supabase.seen)
    name, check = await desk.wrong(**table)
    assert (name, check.verdict) == ("settings", Verdict.FAIL)
    assert words in check.found
    assert len(supabase.seen) == asked
    assert not any(str(value) in repr(check) for name, value in table.items() if name != "url" and value)


async def test_a_secret_key_works_and_is_worth_a_word(desk: Desk, supabase: LocalSupabase) -> None:
    for key in (supabase.secret_key, supabase.service_key):
        name, check = await desk.wrong(key=key, jwt_secret=None)
        assert (name, check.verdict) == ("key", Verdict.WARN)
        assert "publishable key" in check.fix


# --- the address ---


@contextmanager
def website(status: int, body: str = "<html>Welcome</html>", content_type: str = "text/html") -> Iterator[str]:
    """Another thing that answers HTTP."""

    class Page(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None: ...

    with answering(Page) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.mark.parametrize(
    ("status", "content_type", "words"),
    [
        (200, "text/html", "does not answer as Supabase does"),
        (302, "text/html", "redirects the call"),
        (404, "text/html", "mend `supabase.url`"),
        (405, "text/html", "mend `supabase.url`"),
        (540, "text/html", "is paused: restore the project"),
        (503, "text/html", "does not work at the moment"),
    ],
)
async def test_something_else_at_the_address(desk: Desk, status: int, content_type: str, words: str) -> None:
    with website(status, content_type=content_type) as url:
        found = await desk.found(url=url)
    assert [*found] == ["settings", "address"]
    assert found["address"].verdict is Verdict.FAIL and words in found["address"].found
    assert f"curl -i {url}/rest/v1/" in found["address"].fix


async def test_nobody_at_the_address(desk: Desk, unused_tcp_port: int) -> None:
    name, check = await desk.wrong(url=f"http://127.0.0.1:{unused_tcp_port}")
    assert name == "address" and "cannot be reached" in check.found


@pytest.mark.slow
async def test_a_network_that_swallows_everything_takes_no_longer_than_it_may(
    desk: Desk, supabase: LocalSupabase
) -> None:
    with supabase.proxy() as proxy:
        proxy.black_hole()
        name, check = await desk.wrong(url=proxy.url)
    assert name == "address" and "did not answer in time" in check.found


# --- keys that the project does not know ---


async def test_a_key_that_the_project_does_not_know(desk: Desk) -> None:
    found = await desk.found(key="sb_publishable_of_somebody_else")
    assert found["address"].verdict is Verdict.OK
    assert found["key"].verdict is Verdict.FAIL and "Invalid API key" in found["key"].found
    assert "API Keys" in found["key"].fix


async def test_a_secret_that_the_project_does_not_know(desk: Desk) -> None:
    found = await desk.found(jwt_secret="wrong" * 10)
    assert found["identity"].verdict is Verdict.FAIL
    assert "tokens that it signs itself (HS256)" in found["identity"].fix


async def test_a_token_without_rights(desk: Desk, own_supabase: LocalSupabase) -> None:
    """The claim is there, and the database does not let it in: somebody took the grants back."""
    sql(own_supabase, "revoke execute on function list_projects from authenticated")
    desk.table |= {"url": own_supabase.url, "key": own_supabase.publishable_key}
    found = await desk.found(jwt_secret=own_supabase.jwt_secret)
    assert found["identity"].verdict is Verdict.FAIL and "list_projects" in found["identity"].found


# --- the database ---


async def test_nothing_of_ours_is_in_the_database(own_desk: Desk, own_supabase: LocalSupabase) -> None:
    sql(own_supabase, "drop schema ccm cascade")
    sql(own_supabase, "drop function if exists public.schema_state")
    own_supabase.reload_schema()
    found = await own_desk.found()
    assert [*found] == ["settings", "address", "key", "schema"]
    assert found["schema"].verdict is Verdict.FAIL
    assert "nothing of ccm-orchestrator is there" in found["schema"].found
    assert "db migrate" in found["schema"].fix and "db sql" in found["schema"].fix


async def test_a_migration_is_missing(own_desk: Desk, own_supabase: LocalSupabase) -> None:
    newest = [*shipped_migrations()][-1]
    sql(own_supabase, "delete from ccm.migrations where name = %s", (newest,))
    name, check = await own_desk.wrong()
    assert name == "schema" and newest in check.found and "db migrate" in check.fix


async def test_a_migration_of_a_newer_version(own_desk: Desk, own_supabase: LocalSupabase) -> None:
    sql(own_supabase, "insert into ccm.migrations (name) values ('29990101000000_future')")
    name, check = await own_desk.wrong()
    assert name == "schema" and "29990101000000_future" in check.found and "Upgrade" in check.fix


@pytest.mark.parametrize(
    ("statement", "missing"),
    [
        ("drop function public.claim_tasks", "function claim_tasks"),
        ("drop function public.finish_task", "function finish_task"),
        ("drop table public.system_metrics", "table system_metrics"),
    ],
)
async def test_a_part_is_missing(own_desk: Desk, own_supabase: LocalSupabase, statement: str, missing: str) -> None:
    sql(own_supabase, statement)
    own_supabase.reload_schema()
    name, check = await own_desk.wrong()
    assert (name, check.found) == ("parts", f"missing: {missing}")
    assert "db sql" in check.fix


# --- Realtime ---


async def test_the_table_is_not_in_the_publication_and_the_cure_cures(
    own_desk: Desk, own_supabase: LocalSupabase
) -> None:
    sql(own_supabase, "alter publication supabase_realtime drop table public.tasks")
    name, check = await own_desk.wrong()
    assert (name, check.verdict) == ("realtime", Verdict.WARN)
    assert "`tasks` is not in the publication" in check.found
    assert f"db sql {realtime_check.PUBLISHES}" in check.fix
    sql(own_supabase, shipped_migrations()[realtime_check.PUBLISHES])
    assert (await own_desk.found())["realtime"].verdict is Verdict.OK


async def test_realtime_joins_and_is_never_ready(
    desk: Desk, supabase: LocalSupabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(realtime_check, "READY_S", 0.7)
    supabase.realtime.faults.never_ready = True
    name, check = await desk.wrong()
    assert name == "realtime" and "within 0.7 s" in check.found and "every 3 s" in check.why


async def test_realtime_refuses(desk: Desk, supabase: LocalSupabase) -> None:
    supabase.realtime.faults.handshake_error = (403, "suspended")
    name, check = await desk.wrong()
    assert name == "realtime" and "HTTP 403" in check.found


# --- clocks, and other machines ---


@pytest.mark.parametrize(("off_s", "words"), [(5400, "1.5 hours ahead of"), (-5400, "1.5 hours behind")])
async def test_a_clock_an_hour_off(desk: Desk, monkeypatch: pytest.MonkeyPatch, off_s: float, words: str) -> None:
    """Its tokens are good all the same."""
    monkeypatch.setattr(remote, "Credentials", partial(Credentials, wall=lambda: time.time() + off_s))
    found = await desk.found()
    assert found["clock"].verdict is Verdict.WARN
    assert words in found["clock"].found and "timedatectl" in found["clock"].fix
    assert found["identity"].verdict is Verdict.OK


async def test_projects_that_were_not_announced(desk: Desk) -> None:
    await desk.register_project("more")
    name, check = await desk.wrong()
    assert (name, check.found) == ("projects", "not announced: more")
    assert "ccm-orchestrator serve" in check.fix


async def test_another_machine_is_silent(desk: Desk, supabase: LocalSupabase, system: Caller) -> None:
    with introduced(supabase, "there"):
        supabase.advance_clock(timedelta(minutes=6))
    system.register(HERE)
    name, check = await desk.wrong()
    assert (name, check.verdict, check.found) == ("other systems", Verdict.WARN, "silent: there (6 minutes)")
    assert "delete from systems" in check.fix


async def test_this_machine_is_drained(desk: Desk, system: Caller) -> None:
    system.rpc("drain_system", p_system_id=HERE)
    name, check = await desk.wrong()
    assert name == "system" and "drain --off" in check.fix


async def test_a_network_that_breaks_off_after_the_first_answer(desk: Desk, supabase: LocalSupabase) -> None:
    supabase.faults.add(WrongAnswer(pattern="/rpc/list_projects", status=502))
    name, check = await desk.wrong()
    assert name == "identity" and "status 502" in check.found
