"""The local Supabase: what tests build on, so what it promises is tested here."""

from __future__ import annotations

import httpx

from ccm_orchestrator.devstack.stack import LocalSupabase


def rest(stack: LocalSupabase, path: str = "/rest/v1/", key: str = "", bearer: str = "") -> httpx.Response:
    key = key or stack.anon_key
    headers = {"apikey": key, "Authorization": f"Bearer {bearer or key}"}
    return httpx.get(stack.url + path, headers=headers, timeout=10, trust_env=False)


def test_every_kind_of_key_opens_it(supabase: LocalSupabase) -> None:
    keys = (supabase.anon_key, supabase.service_key, supabase.publishable_key, supabase.secret_key)
    tokens = (supabase.token(), supabase.token(algorithm="ES256"))
    answers = [rest(supabase, key=key) for key in keys] + [rest(supabase, bearer=token) for token in tokens]
    assert [answer.status_code for answer in answers] == [200] * 6


def test_after_an_outage_of_the_database_the_next_request_succeeds(own_supabase: LocalSupabase) -> None:
    own_supabase.stop_postgres()
    rest(own_supabase)  # finds a dead connection in the pool, which PostgREST answers in a way of its own
    assert (away := rest(own_supabase)).status_code == 503, away.text
    own_supabase.start_postgres()
    assert rest(own_supabase, "/rest/v1/nothing").json()["code"] == "42P01"
