"""The local Supabase: what tests build on, so what it promises is tested here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psycopg
import pytest
from realtime import AsyncRealtimeClient
from realtime.types import RealtimePostgresChangesListenEvent

from ccm_orchestrator.devstack.faults import Cut, Delay, Silence, WrongAnswer
from ccm_orchestrator.devstack.keys import Keys
from ccm_orchestrator.devstack.problems import DevStackError
from ccm_orchestrator.devstack.programs import Programs
from ccm_orchestrator.devstack.stack import LocalSupabase
from tests.supabase_stack import stack_directory

INSERT = RealtimePostgresChangesListenEvent.Insert
WAIT_S = 10.0
GIVE_UP_S = 0.3
"""How long a client waits for an answer that will not come."""

COUNTER = """
create table devstack.calls (n int);
create function public.count_call() returns bigint language sql security definer as
$$ insert into devstack.calls values (1); select count(*) from devstack.calls $$;
"""
NEWS = """
create table news (id int generated always as identity primary key);
alter table news enable row level security;
create policy here on news for select to authenticated using (auth.jwt() ->> 'system_id' = 'here');
grant select on news to authenticated;
alter publication supabase_realtime add table news;
"""


def rest(
    stack: LocalSupabase,
    path: str = "/rest/v1/",
    *,
    url: str = "",
    key: str = "",
    bearer: str = "",
    timeout_s: float = WAIT_S,
) -> httpx.Response:
    key = key or stack.anon_key
    headers = {"apikey": key, "Authorization": f"Bearer {bearer or key}"}
    return httpx.get((url or stack.url) + path, headers=headers, timeout=timeout_s, trust_env=False)


class Counter:
    """An RPC that counts how often PostgREST really carried it out."""

    def __init__(self, stack: LocalSupabase) -> None:
        self.stack = stack

    def call(self, url: str = "", timeout_s: float = WAIT_S) -> httpx.Response:
        headers = {"apikey": self.stack.service_key, "Authorization": f"Bearer {self.stack.service_key}"}
        address = f"{url or self.stack.url}/rest/v1/rpc/count_call"
        return httpx.post(address, json={}, headers=headers, timeout=timeout_s, trust_env=False)

    @property
    def executed(self) -> int:
        with psycopg.connect(self.stack.database_url) as connection:
            row = connection.execute("select count(*) from devstack.calls").fetchone()
            assert row is not None
            return int(row[0])


@pytest.fixture
def counter(supabase: LocalSupabase) -> Iterator[Counter]:
    with psycopg.connect(supabase.database_url, autocommit=True) as connection:
        connection.execute(COUNTER)
        supabase.reload_schema()
        yield Counter(supabase)
        connection.execute("drop function public.count_call(); drop table devstack.calls")


def test_how_long_it_takes(supabase_programs: Programs, supabase_template: Path) -> None:
    """Told, not judged: `pytest -rP` shows it. It is meant to be less than five seconds."""
    for how, template in (("from nothing", None), ("from a template", supabase_template)):
        with stack_directory() as directory:
            began = time.monotonic()
            with LocalSupabase(supabase_programs, Path(directory), template=template) as stack:
                stack.migrate()
                assert rest(stack, "/rest/v1/tasks", key=stack.secret_key).json() == []
                print(f"{how}: {time.monotonic() - began:.2f} s")


def test_a_port_that_is_taken_is_said(supabase: LocalSupabase, supabase_programs: Programs) -> None:
    port = int(supabase.url.rpartition(":")[2])
    with (
        stack_directory() as directory,
        pytest.raises(DevStackError, match=f"The gateway cannot listen on 127.0.0.1:{port}"),
        LocalSupabase(supabase_programs, Path(directory), port=port),
    ):
        pass


# --- keys ---


def test_every_kind_of_key_opens_it(supabase: LocalSupabase) -> None:
    keys = (supabase.anon_key, supabase.service_key, supabase.publishable_key, supabase.secret_key)
    tokens = (supabase.token(), supabase.token(algorithm="ES256"))
    answers = [rest(supabase, key=key) for key in keys] + [rest(supabase, bearer=token) for token in tokens]
    assert [answer.status_code for answer in answers] == [200] * 6


def test_what_is_no_key_of_the_project_is_refused_as_hosted(supabase: LocalSupabase) -> None:
    assert httpx.get(supabase.url + "/rest/v1/", trust_env=False).status_code == 401
    assert rest(supabase, key=supabase.token("service_role")).json() == {"message": "Invalid API key"}
    assert rest(supabase, bearer=supabase.publishable_key).json()["code"] == "PGRST301"
    assert rest(supabase, bearer=supabase.token(exp=int(time.time()) - 60)).status_code == 401


def test_opaque_keys_stand_for_their_roles(counter: Counter) -> None:
    stack = counter.stack
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        connection.execute("revoke execute on function public.count_call from public")
        connection.execute("grant execute on function public.count_call to service_role")
    path = "/rest/v1/rpc/count_call"
    statuses = [rest(stack, path, key=key).status_code for key in (stack.secret_key, stack.publishable_key)]
    assert statuses == [405, 401], "service_role may (but not in a read-only transaction), anon may not"


def test_a_new_secret_ends_tokens_of_the_old_one(own_supabase: LocalSupabase) -> None:
    token, key = own_supabase.token(), own_supabase.anon_key
    own_supabase.rotate_jwt_secret(keep_old=True)
    assert rest(own_supabase, key=own_supabase.publishable_key, bearer=token).status_code == 200
    assert rest(own_supabase, key=key).status_code == 401
    second = own_supabase.token()
    own_supabase.rotate_jwt_secret()
    answers = [rest(own_supabase, bearer=old).status_code for old in (token, second, own_supabase.token())]
    assert answers == [401, 401, 200]


def test_restored_keys_are_the_same(supabase: LocalSupabase) -> None:
    restored = Keys.restored(supabase.keys.document())
    assert restored.document() == supabase.keys.document()
    answers = [rest(supabase, bearer=restored.token(algorithm=name)).status_code for name in ("HS256", "ES256")]
    assert answers == [200, 200]


# --- the database ---


def test_what_the_owner_makes_is_granted_to_nobody(supabase: LocalSupabase) -> None:
    with psycopg.connect(supabase.owner_url, autocommit=True) as connection:
        connection.execute("create table public.bare (id int primary key)")
        supabase.reload_schema()
        answer = rest(supabase, "/rest/v1/bare", key=supabase.secret_key)
        assert (answer.status_code, answer.json()["code"]) == (403, "42501")
        connection.execute("drop table public.bare")


def test_policies_see_the_claims(supabase: LocalSupabase) -> None:
    with psycopg.connect(supabase.owner_url, autocommit=True) as connection:
        connection.execute(
            "create function public.who() returns jsonb language sql stable as "
            "$$ select jsonb_build_array(auth.uid(), auth.role(), auth.jwt() ->> 'system_id', current_user) $$"
        )
        supabase.reload_schema()
        uid = "00000000-0000-0000-0000-00000000000a"
        asked = rest(supabase, "/rest/v1/rpc/who", bearer=supabase.token(sub=uid, system_id="here")).json()
        assert asked == [uid, "authenticated", "here", "authenticated"]
        assert rest(supabase, "/rest/v1/rpc/who").json() == [None, "anon", None, "anon"]
        connection.execute("drop function public.who()")


def test_emptying_leaves_no_row_and_no_turned_clock(own_supabase: LocalSupabase) -> None:
    with psycopg.connect(own_supabase.database_url, autocommit=True) as connection:
        connection.execute(
            "create schema if not exists ccm; create table ccm.things (id int generated always as identity)"
        )
        connection.execute("insert into ccm.things default values")
        own_supabase.set_clock(datetime(2030, 1, 1, tzinfo=UTC))
        own_supabase.reset()
        row = connection.execute("insert into ccm.things default values returning id").fetchone()
        assert row == (1,)
        assert connection.execute("select ccm.now() - now()").fetchone() == (timedelta(0),)


def test_the_clock_stands_goes_ahead_and_comes_back(own_supabase: LocalSupabase) -> None:
    moment = datetime(2030, 1, 1, tzinfo=UTC)
    with psycopg.connect(own_supabase.database_url, autocommit=True) as connection:
        connection.execute("create schema if not exists ccm")

        def ahead() -> timedelta:
            row = connection.execute("select ccm.now() - now()").fetchone()
            assert row is not None
            return timedelta(seconds=row[0].total_seconds())

        own_supabase.set_clock(moment)
        own_supabase.advance_clock(timedelta(minutes=10))
        assert connection.execute("select ccm.now()").fetchone() == (moment + timedelta(minutes=10),)
        own_supabase.set_clock(None)
        assert ahead() == timedelta(0)
        own_supabase.advance_clock(timedelta(hours=1))
        assert ahead() == timedelta(hours=1)


def test_after_an_outage_of_the_database_the_next_request_succeeds(own_supabase: LocalSupabase) -> None:
    own_supabase.stop_postgres()
    rest(own_supabase)  # finds a dead connection in the pool, which PostgREST answers in a way of its own
    assert (away := rest(own_supabase)).status_code == 503, away.text
    own_supabase.start_postgres()
    assert rest(own_supabase, "/rest/v1/nothing").json()["code"] == "42P01"
    own_supabase.reset()


def test_postgrest_comes_back_at_its_address(own_supabase: LocalSupabase) -> None:
    address = own_supabase.rest_url
    own_supabase.restart_postgrest()
    assert (own_supabase.rest_url, rest(own_supabase).status_code) == (address, 200)


def test_two_stacks_know_nothing_of_each_other(supabase: LocalSupabase, own_supabase: LocalSupabase) -> None:
    with psycopg.connect(own_supabase.database_url, autocommit=True) as connection:
        connection.execute("create table public.mine (id int primary key)")
    with psycopg.connect(supabase.database_url) as connection:
        assert connection.execute("select to_regclass('public.mine')").fetchone() == (None,)
    assert rest(supabase, bearer=own_supabase.token()).status_code == 401


async def test_realtime_lives_at_the_same_address_and_is_told_of_a_new_secret(own_supabase: LocalSupabase) -> None:
    with psycopg.connect(own_supabase.owner_url, autocommit=True) as connection:
        connection.execute(NEWS)
        await hears_news(own_supabase, connection)
        own_supabase.rotate_jwt_secret()
        await hears_news(own_supabase, connection)


async def hears_news(stack: LocalSupabase, connection: psycopg.Connection) -> None:
    client = AsyncRealtimeClient(f"{stack.url}/realtime/v1", stack.publishable_key, auto_reconnect=False)
    await client.set_auth(stack.token(system_id="here"))
    heard, ready = asyncio.Event(), asyncio.Event()
    channel = (
        client.channel("news")
        .on_postgres_changes(INSERT, lambda _: heard.set(), "news")
        .on_system(lambda _: ready.set())
    )
    async with asyncio.timeout(WAIT_S):
        await channel.subscribe()
        await ready.wait()
        connection.execute("insert into news default values")
        await heard.wait()
    await client.close()


# --- what goes wrong at the gateway ---


def test_a_wrong_answer_comes_as_often_as_asked_and_only_where_asked(counter: Counter) -> None:
    fault = counter.stack.faults.add(WrongAnswer(pattern="/rpc/count_call$", times=2, headers={"Retry-After": "7"}))
    answers = [counter.call() for _ in range(3)]
    assert [answer.status_code for answer in answers] == [503, 503, 200]
    assert (answers[0].headers["retry-after"], answers[2].text, fault.hits) == ("7", "1", 2)
    assert [seen.status for seen in counter.stack.seen][-3:] == [503, 503, 200]


def test_a_page_instead_of_json(counter: Counter) -> None:
    page = "<html><body>Please sign in to the network.</body></html>"
    counter.stack.faults.add(WrongAnswer(pattern="GET", status=200, body=page, content_type="text/html"))
    answer = rest(counter.stack)
    assert (answer.status_code, answer.text, answer.headers["content-type"]) == (200, page, "text/html; charset=utf-8")
    assert counter.call().text == "1"


@pytest.mark.parametrize(("fault", "executed"), [(Cut(), 0), (Cut(executed=True), 1)])
def test_a_cut_connection(counter: Counter, fault: Cut, executed: int) -> None:
    counter.stack.faults.add(fault)
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        counter.call()
    assert counter.executed == executed
    counter.stack.faults.remove(fault)
    assert counter.call().text == str(executed + 1)


@pytest.mark.parametrize(("fault", "executed"), [(Silence(), 0), (Silence(executed=True), 1)])
def test_an_answer_that_never_comes(counter: Counter, fault: Silence, executed: int) -> None:
    counter.stack.faults.add(fault)
    with pytest.raises(httpx.ReadTimeout):
        counter.call(timeout_s=GIVE_UP_S)
    assert counter.executed == executed


@pytest.mark.parametrize(
    ("fault", "executed"), [(Delay(request_s=2 * GIVE_UP_S), 0), (Delay(answer_s=2 * GIVE_UP_S), 1)]
)
def test_a_delay_of_the_request_or_of_its_answer(counter: Counter, fault: Delay, executed: int) -> None:
    counter.stack.faults.add(fault)
    with pytest.raises(httpx.ReadTimeout):
        counter.call(timeout_s=GIVE_UP_S)
    assert counter.executed == executed
    assert counter.call().text == "2"


def test_a_gateway_that_is_away_refuses(counter: Counter) -> None:
    counter.stack.stop_gateway()
    with pytest.raises(httpx.ConnectError):
        counter.call()
    counter.stack.start_gateway()
    assert counter.call().text == "1"


# --- the network ---


def test_a_partition_holds_what_is_sent_until_it_heals(counter: Counter) -> None:
    with counter.stack.proxy() as proxy:
        assert counter.call(proxy.url).text == "1"
        proxy.pause()
        with pytest.raises(httpx.ReadTimeout):
            counter.call(proxy.url, timeout_s=GIVE_UP_S)
        assert counter.executed == 1
        proxy.heal()
        deadline = time.monotonic() + WAIT_S
        while counter.executed < 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_black_hole_eats_what_is_sent_and_its_connections_never_work_again(counter: Counter) -> None:
    with counter.stack.proxy() as proxy, httpx.Client(trust_env=False, timeout=GIVE_UP_S) as client:
        address = proxy.url + "/auth/v1/.well-known/jwks.json"
        assert client.get(address).status_code == 200
        proxy.black_hole()
        with pytest.raises(httpx.ReadTimeout):
            client.get(address)
        with pytest.raises(httpx.ReadTimeout):
            counter.call(proxy.url, timeout_s=GIVE_UP_S)
        proxy.heal()
        assert counter.executed == 0
        assert counter.call(proxy.url).text == "1"


def test_cutting_and_refusing(counter: Counter) -> None:
    with counter.stack.proxy() as proxy, httpx.Client(trust_env=False, timeout=WAIT_S) as client:
        address = proxy.url + "/auth/v1/.well-known/jwks.json"
        assert client.get(address).status_code == 200
        assert proxy.connections == 1
        proxy.cut()
        assert client.get(address).status_code == 200, "on a new connection"
        proxy.refuse()
        with pytest.raises(httpx.ConnectError):
            client.get(address)
        proxy.heal()
        assert client.get(address).status_code == 200


def test_a_slow_network(counter: Counter) -> None:
    with counter.stack.proxy() as proxy:
        proxy.delay(GIVE_UP_S)
        began = time.monotonic()
        assert counter.call(proxy.url).text == "1"
        assert time.monotonic() - began >= 2 * GIVE_UP_S
