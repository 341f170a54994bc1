"""The client against a real PostgREST and a real database: every proof of identity, and what goes wrong in between."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack

import psycopg
import pytest

from ccm_orchestrator.adapters.supabase.client import RestClient
from ccm_orchestrator.adapters.supabase.credentials import Credentials, subject_of
from ccm_orchestrator.adapters.supabase.keys import key_signer, shared_signer
from ccm_orchestrator.devstack.faults import Cut, Delay, Silence, WrongAnswer
from ccm_orchestrator.devstack.stack import LocalSupabase
from ccm_orchestrator.errors import (
    SchemaTooOld,
    StoreError,
    StoreRefused,
    StoreUnavailable,
    UnknownProject,
)
from ccm_orchestrator.security.secrets import Secret
from tests.supabase_queue import connected

FUNCTIONS = """
create or replace function public.probe_who() returns jsonb language sql as
    $$ select current_setting('request.jwt.claims')::jsonb $$;
create or replace function public.probe_echo(p_value jsonb) returns jsonb language sql as $$ select p_value $$;
create or replace function public.probe_nothing() returns jsonb language sql as $$ select 'null'::jsonb $$;
create or replace function public.probe_void() returns void language sql as $$ select $$;
create table if not exists public.probe_calls (n int);
create or replace function public.probe_count() returns jsonb language sql security definer as
    $$ insert into public.probe_calls values (1); select to_jsonb(count(*)) from public.probe_calls $$;
create or replace function public.probe_slow(p_seconds float8) returns jsonb language sql as
    $$ select pg_sleep(p_seconds); select '{}'::jsonb $$;
create or replace function public.probe_refuse() returns jsonb language plpgsql as $$ begin
    raise exception 'There is no project named ''x''.' using errcode = 'PT422',
        detail = '{"error": "UnknownProject", "project": "x"}';
end $$;
create or replace function public.probe_private() returns jsonb language sql as $$ select '{}'::jsonb $$;
revoke execute on all functions in schema public from public, anon;
grant execute on function public.probe_who, public.probe_echo, public.probe_nothing, public.probe_void,
    public.probe_count, public.probe_slow, public.probe_refuse to authenticated, service_role;
"""
NAMES = "who, probe_echo, probe_nothing, probe_void, probe_count, probe_slow, probe_refuse, probe_private"


def prepare(stack: LocalSupabase) -> None:
    with psycopg.connect(stack.owner_url) as connection:
        connection.execute(FUNCTIONS.encode())
    stack.reload_schema()


@pytest.fixture(scope="module")
def shared(supabase_stack: LocalSupabase) -> Iterator[LocalSupabase]:
    prepare(supabase_stack)
    yield supabase_stack
    supabase_stack.faults.clear()
    with psycopg.connect(supabase_stack.owner_url) as connection:
        connection.execute(f"drop function public.probe_{NAMES}; drop table public.probe_calls".encode())
    supabase_stack.reload_schema()


@pytest.fixture
def stack(shared: LocalSupabase) -> LocalSupabase:
    shared.faults.clear()
    return shared


@pytest.fixture
async def exits() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as exits:
        yield exits


@pytest.fixture
async def client(exits: AsyncExitStack, stack: LocalSupabase) -> RestClient:
    return await connected(exits, stack)


PROOFS: dict[str, Callable[[LocalSupabase], Credentials]] = {
    "anon key and shared secret": lambda stack: Credentials(
        stack.url, "here", Secret(stack.anon_key), signer=shared_signer(Secret(stack.jwt_secret))
    ),
    "publishable key and shared secret": lambda stack: Credentials(
        stack.url, "here", Secret(stack.publishable_key), signer=shared_signer(Secret(stack.jwt_secret))
    ),
    "publishable key and signing key": lambda stack: Credentials(
        stack.url, "here", Secret(stack.publishable_key), signer=key_signer(Secret(stack.keys.private_jwk()))
    ),
    "secret key and signing key": lambda stack: Credentials(
        stack.url, "here", Secret(stack.secret_key), signer=key_signer(Secret(stack.keys.private_jwk()))
    ),
    "publishable key and token": lambda stack: Credentials(
        stack.url,
        "here",
        Secret(stack.publishable_key),
        Secret(stack.token(sub=subject_of("here"), system_id="here")),
    ),
}
KEYS_ALONE: dict[str, Callable[[LocalSupabase], Credentials]] = {
    "secret key": lambda stack: Credentials(stack.url, "here", Secret(stack.secret_key)),
    "service key": lambda stack: Credentials(stack.url, "here", Secret(stack.service_key)),
}


class TestProofs:
    @pytest.mark.parametrize("proof", PROOFS)
    async def test_a_proof_makes_the_caller_this_system(
        self, exits: AsyncExitStack, stack: LocalSupabase, proof: str
    ) -> None:
        who = await (await connected(exits, stack, PROOFS[proof](stack))).rpc("probe_who", {})
        assert (who["role"], who["system_id"], who["sub"]) == ("authenticated", "here", subject_of("here"))

    @pytest.mark.parametrize("key", KEYS_ALONE)
    async def test_a_secret_key_alone_may_speak_for_any_system(
        self, exits: AsyncExitStack, stack: LocalSupabase, key: str
    ) -> None:
        who = await (await connected(exits, stack, KEYS_ALONE[key](stack))).rpc("probe_who", {})
        assert who["role"] == "service_role" and "system_id" not in who

    @pytest.mark.parametrize(
        ("credentials", "words"),
        [
            (lambda s: Credentials(s.url, "here", Secret("sb_secret_wrong")), "does not accept the key or token"),
            (
                lambda s: Credentials(s.url, "here", Secret(s.anon_key), signer=shared_signer(Secret("wrong" * 10))),
                "does not accept the key or token",
            ),
            (
                lambda s: Credentials(
                    s.url, "here", Secret(s.anon_key), Secret(s.token(system_id="here", exp=int(time.time()) - 60))
                ),
                "`supabase.system_token` expired at",
            ),
            (lambda s: Credentials(s.url, "here", Secret(s.anon_key)), "is a publishable key"),
            (
                lambda s: Credentials(s.url, "here", Secret(s.anon_key), Secret(s.token(system_id="there"))),
                "is of the system 'there'",
            ),
        ],
    )
    async def test_what_proves_nothing_is_refused_in_one_sentence(
        self,
        exits: AsyncExitStack,
        stack: LocalSupabase,
        credentials: Callable[[LocalSupabase], Credentials],
        words: str,
    ) -> None:
        with pytest.raises(StoreRefused) as caught:
            await (await connected(exits, stack, credentials(stack))).rpc("probe_who", {})
        assert words in caught.value.message

    async def test_a_minted_token_survives_the_rotation_that_keeps_the_old_secret(
        self, exits: AsyncExitStack, own_supabase: LocalSupabase
    ) -> None:
        prepare(own_supabase)
        proof = Credentials(
            own_supabase.url,
            "here",
            Secret(own_supabase.publishable_key),
            signer=shared_signer(Secret(own_supabase.jwt_secret)),
        )
        client = await connected(exits, own_supabase, proof)
        await client.rpc("probe_who", {})
        await asyncio.to_thread(own_supabase.rotate_jwt_secret, keep_old=True)
        await client.rpc("probe_who", {})
        await asyncio.to_thread(own_supabase.rotate_jwt_secret, keep_old=False)
        with pytest.raises(StoreRefused, match="does not accept"):
            await client.rpc("probe_who", {})


class TestAnswers:
    @pytest.mark.parametrize(
        "value", [{}, {"a": ["ä🙂\0", "\ufdd0␀", None, True, 1.5, 2**40]}, {"\0": {"nested": [[]]}}, {"n": 1e-9}]
    )
    async def test_values_come_back_as_they_were_sent(self, client: RestClient, value: object) -> None:
        assert await client.rpc("probe_echo", {"p_value": value}) == value

    async def test_a_large_value_comes_back_whole(self, client: RestClient) -> None:
        value = {"prompt": "x🙂" * 500_000}
        assert await client.rpc("probe_echo", {"p_value": value}) == value

    async def test_nothing_is_an_answer_where_it_is_expected(self, client: RestClient) -> None:
        assert await client.rpc("probe_nothing", {}, type(None)) is None
        assert await client.rpc("probe_void", {}, type(None)) is None

    async def test_a_refusal_of_a_function_keeps_its_sentence(self, client: RestClient) -> None:
        with pytest.raises(UnknownProject, match=r"There is no project named 'x'\.") as caught:
            await client.rpc("probe_refuse", {})
        assert vars(caught.value)["project"] == "x"

    @pytest.mark.parametrize("params", [{"p_other": 1}, {}])
    async def test_a_function_as_this_version_calls_it_is_missing(
        self, client: RestClient, params: dict[str, object]
    ) -> None:
        for function in ("probe_echo", "probe_missing"):
            with pytest.raises(SchemaTooOld, match=f"`{function}`.*db migrate"):
                await client.rpc(function, params)

    async def test_a_function_that_is_not_granted(self, exits: AsyncExitStack, stack: LocalSupabase) -> None:
        client = await connected(exits, stack, PROOFS["anon key and shared secret"](stack))
        with pytest.raises(StoreRefused, match="does not let this system call `probe_private`"):
            await client.rpc("probe_private", {})

    async def test_a_statement_that_takes_too_long(self, exits: AsyncExitStack, stack: LocalSupabase) -> None:
        with psycopg.connect(stack.database_url) as connection:
            connection.execute("alter role authenticated set statement_timeout = '50ms'")
        try:
            stack.reload_schema()
            proof = PROOFS["anon key and shared secret"](stack)
            client = await connected(exits, stack, proof, budget_s=0.0)
            with pytest.raises(StoreUnavailable, match="statement timeout"):
                await client.rpc("probe_slow", {"p_seconds": 1.0})
        finally:
            with psycopg.connect(stack.database_url) as connection:
                connection.execute("alter role authenticated set statement_timeout = '8s'")
            stack.reload_schema()


class TestTrouble:
    @pytest.mark.parametrize(
        "fault",
        [
            lambda: Cut(pattern="probe", times=2),
            lambda: Cut(pattern="probe", executed=True, times=1),
            lambda: WrongAnswer(pattern="probe", times=2),
            lambda: WrongAnswer(pattern="probe", times=1, status=200, body="<html>", content_type="text/html"),
            lambda: WrongAnswer(pattern="probe", times=1, status=429, headers={"Retry-After": "1"}),
            lambda: Delay(pattern="probe", times=1, answer_s=0.3),
        ],
    )
    async def test_a_hitch_is_passed_over(
        self, client: RestClient, stack: LocalSupabase, fault: Callable[[], Cut]
    ) -> None:
        switched = stack.faults.add(fault())
        assert await client.rpc("probe_echo", {"p_value": {"n": 1}}) == {"n": 1}
        assert switched.hits == switched.times

    async def test_an_answer_that_is_lost_after_the_commit_is_asked_for_again(
        self, client: RestClient, stack: LocalSupabase
    ) -> None:
        before = await client.rpc("probe_count", {}, int)
        stack.faults.add(Cut(pattern="probe_count", executed=True, times=1))
        assert await client.rpc("probe_count", {}, int) == before + 2

    async def test_silence_ends_with_the_patience(self, exits: AsyncExitStack, stack: LocalSupabase) -> None:
        client = await connected(exits, stack, budget_s=0.0, answer_s=0.2)
        stack.faults.add(Silence(pattern="probe"))
        with pytest.raises(StoreUnavailable, match="did not answer in time"):
            await client.rpc("probe_who", {})

    async def test_a_black_hole_ends_with_the_patience(self, exits: AsyncExitStack, stack: LocalSupabase) -> None:
        with stack.proxy() as proxy:
            known = Credentials(proxy.url, "here", Secret(stack.service_key))
            client = await connected(exits, stack, known, url=proxy.url, budget_s=0.0, answer_s=0.2)
            await client.rpc("probe_who", {})
            proxy.black_hole()
            with pytest.raises(StoreUnavailable, match=r"did not answer in time|cannot be reached"):
                await client.rpc("probe_who", {})
            proxy.heal()
            await client.rpc("probe_who", {})

    async def test_another_thing_at_the_address(self, exits: AsyncExitStack, stack: LocalSupabase) -> None:
        url = f"{stack.url}/nowhere"
        client = await connected(exits, stack, Credentials(url, "here", Secret(stack.service_key)), url=url)
        with pytest.raises(StoreRefused, match=r"mend `supabase.url`"):
            await client.rpc("probe_who", {})

    async def test_the_database_goes_and_comes(self, exits: AsyncExitStack, own_supabase: LocalSupabase) -> None:
        prepare(own_supabase)
        client = await connected(exits, own_supabase, budget_s=1.0)
        await client.rpc("probe_who", {})
        await asyncio.to_thread(own_supabase.stop_postgres)
        with pytest.raises(StoreUnavailable):
            await client.rpc("probe_who", {})
        await asyncio.to_thread(own_supabase.start_postgres)
        began = time.monotonic()
        await answered(client)
        assert time.monotonic() - began < 5

    async def test_postgrest_and_the_gateway_go_and_come(
        self, exits: AsyncExitStack, own_supabase: LocalSupabase
    ) -> None:
        prepare(own_supabase)
        client = await connected(exits, own_supabase, budget_s=0.5)
        await client.rpc("probe_who", {})
        await asyncio.to_thread(own_supabase.restart_postgrest)
        await answered(client)
        await asyncio.to_thread(own_supabase.stop_gateway)
        with pytest.raises(StoreUnavailable, match=r"cannot be reached|broke the connection off"):
            await client.rpc("probe_who", {})
        await asyncio.to_thread(own_supabase.start_gateway)
        await answered(client)


async def answered(client: RestClient) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                await client.rpc("probe_who", {})
            except StoreError:
                continue
            return
