"""One call of a function, whatever stands between us and the database."""

import asyncio
import contextlib
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import jwt
import pytest
from aiohttp import web

from ccm_orchestrator.adapters.supabase.client import RestClient, http_client, is_loopback
from ccm_orchestrator.adapters.supabase.credentials import Credentials
from ccm_orchestrator.adapters.supabase.health import HealthRecorder, StoreState
from ccm_orchestrator.adapters.supabase.keys import shared_signer
from ccm_orchestrator.adapters.supabase.loop import StoreLoop
from ccm_orchestrator.errors import (
    Fenced,
    SchemaTooNew,
    SchemaTooOld,
    StoreRefused,
    StoreUnavailable,
    UnknownProject,
)
from ccm_orchestrator.security.secrets import Secret
from tests.unit.supabase.answering import KEY, SIGNING, Answer, Answering, breaks_off, page, refused, replies
from tests.unit.supabase.conftest import Connect

PGRST301 = refused(401, "PGRST301", "JWT expired")
DOWN = refused(503, "PGRST000", "Database connection error")


def minting(server: Answering) -> Credentials:
    return Credentials(server.url, "here", Secret("sb_publishable_x"), signer=shared_signer(Secret(SIGNING)))


class TestCalls:
    async def test_a_call_carries_its_arguments_and_its_proof(self, server: Answering, connect: Connect) -> None:
        server.say(replies({"n": 1, "text": "a\ufdd0␀"}))
        assert await connect().rpc("claim_tasks", {"p_name": "a\0"}) == {"n": 1, "text": "a\0"}
        (asked,) = server.asked
        assert (asked.path, asked.body) == ("/rest/v1/rpc/claim_tasks", {"p_name": "a\ufdd0␀"})
        assert (asked.headers["apikey"], asked.headers["Authorization"]) == (KEY, f"Bearer {KEY}")
        assert asked.headers["User-Agent"].startswith("ccm-orchestrator/")

    @pytest.mark.parametrize(
        ("body", "expect"), [({}, dict), ([], list), ([{"a": None}], list), (None, type(None)), (7, int)]
    )
    async def test_an_answer_has_the_shape_that_was_expected(
        self, server: Answering, connect: Connect, body: object, expect: type
    ) -> None:
        server.say(replies(body))
        assert await connect().rpc("f", {}, expect) == body

    async def test_no_content_is_an_answer_where_none_was_expected(self, server: Answering, connect: Connect) -> None:
        async def no_content(request: web.Request) -> web.StreamResponse:
            return web.Response(status=204)

        server.say(no_content)
        assert await connect().rpc("f", {}, type(None)) is None
        with pytest.raises(StoreUnavailable):
            await connect().rpc("f", {}, dict)

    async def test_one_connection_serves_calls_one_after_the_other(self, server: Answering, connect: Connect) -> None:
        peers = set()

        async def note(request: web.Request) -> web.StreamResponse:
            assert request.transport is not None
            peers.add(request.transport.get_extra_info("peername"))
            assert request.version == (1, 1)
            return web.json_response({})

        server.say(note)
        client = connect()
        for _ in range(5):
            await client.rpc("f", {})
        assert len(peers) == 1

    async def test_a_closed_client_says_so(self, server: Answering, connect: Connect) -> None:
        client = connect()
        for _ in range(2):
            await client.close()
        with pytest.raises(StoreUnavailable, match="closed"):
            await client.rpc("f", {})

    async def test_a_barred_client_asks_nothing_but_what_may_lift_the_bar(
        self, server: Answering, connect: Connect
    ) -> None:
        server.say(replies({}))
        client = connect()
        client.bar(SchemaTooNew("The database is newer.", newest="0009"))
        with pytest.raises(SchemaTooNew, match="newer") as caught:
            await client.rpc("claim_tasks", {})
        assert vars(caught.value)["newest"] == "0009"
        await client.rpc("schema_state", {}, even_barred=True)
        client.bar(None)
        await client.rpc("claim_tasks", {})
        assert len(server.asked) == 2


class TestStrangers:
    @pytest.mark.parametrize(
        "stranger",
        [
            page(),
            page(302, Location="http://127.0.0.1:1/login"),
            page(511),
            replies([]),
            replies("text"),
            replies(None),
        ],
    )
    async def test_a_page_in_place_of_an_answer_is_no_answer(
        self, server: Answering, connect: Connect, stranger: Answer
    ) -> None:
        server.say(stranger)
        with pytest.raises(StoreUnavailable) as caught:
            await connect().rpc("f", {})
        assert server.url in caught.value.message and "hotel" not in caught.value.message
        assert len(server.asked) == 1, "a redirect must not be followed"

    async def test_a_page_names_the_captive_portal(self, server: Answering, connect: Connect) -> None:
        server.say(page())
        with pytest.raises(StoreUnavailable, match="captive portal"):
            await connect().rpc("f", {})

    async def test_a_page_that_is_not_found_is_the_wrong_address(self, server: Answering, connect: Connect) -> None:
        server.say(page(404))
        with pytest.raises(StoreRefused, match=r"mend `supabase.url`"):
            await connect().rpc("f", {})

    async def test_nobody_at_the_address(self, loop: StoreLoop, recorder: HealthRecorder, unused_tcp_port: int) -> None:
        url = f"http://127.0.0.1:{unused_tcp_port}"
        client = RestClient(url, Credentials(url, "here", Secret(KEY)), loop, recorder, budget_s=0.0)
        client.open()
        with pytest.raises(StoreUnavailable, match=f"{url} cannot be reached"):
            await client.rpc("f", {})
        await client.close()

    async def test_a_server_that_never_answers(self, server: Answering, connect: Connect) -> None:
        async def silent(request: web.Request) -> web.StreamResponse:
            await asyncio.Event().wait()
            raise AssertionError

        server.say(silent)
        with pytest.raises(StoreUnavailable, match="did not answer in time"):
            await connect(answer_s=0.1).rpc("f", {})


class TestTryingAgain:
    @pytest.mark.parametrize(
        "hitch", [DOWN, breaks_off, refused(429), refused(408), refused(500, "57014"), page(502), page(), page(302)]
    )
    async def test_a_hitch_is_tried_again(self, server: Answering, connect: Connect, hitch: Answer) -> None:
        server.say(hitch, replies({"n": 1}))
        assert await connect(budget_s=5.0).rpc("f", {"p": 1}) == {"n": 1}
        assert [asked.body for asked in server.asked] == [{"p": 1}, {"p": 1}]

    @pytest.mark.parametrize("status", [400, 403, 404, 409, 413, 422])
    async def test_a_refusal_is_not(self, server: Answering, connect: Connect, status: int) -> None:
        server.say(refused(status))
        with pytest.raises(Exception, match=r"\."):
            await connect(budget_s=5.0).rpc("f", {})
        assert len(server.asked) == 1

    async def test_the_budget_bounds_the_tries(self, server: Answering, connect: Connect) -> None:
        server.say(DOWN)
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await connect(budget_s=0.5).rpc("f", {})
        assert time.monotonic() - began < 3

    async def test_the_servers_wish_to_wait_counts_within_the_budget(self, server: Answering, connect: Connect) -> None:
        server.say(replies({"message": "slow down"}, 429, Retry_After="60"))
        with pytest.raises(StoreUnavailable, match="patience") as caught:
            await connect(budget_s=5.0).rpc("f", {})
        assert vars(caught.value)["retry_after_s"] == 60
        assert len(server.asked) == 1

    async def test_cancelling_the_caller_ends_the_tries(self, server: Answering, connect: Connect) -> None:
        asked = asyncio.Event()

        async def down(request: web.Request) -> web.StreamResponse:
            asked.set()
            return await DOWN(request)

        server.say(down)
        call = asyncio.create_task(connect(budget_s=60.0).rpc("f", {}))
        await asyncio.wait_for(asked.wait(), 10)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call


class TestRefusals:
    async def test_a_refusal_by_name_arrives_as_its_class(self, server: Answering, connect: Connect) -> None:
        server.say(
            refused(422, "PT422", "There is no project.", details='{"error": "UnknownProject", "project": "x\ufdd0␀"}')
        )
        with pytest.raises(UnknownProject, match="There is no project") as caught:
            await connect().rpc("enqueue_task", {})
        assert vars(caught.value)["project"] == "x\0"

    async def test_a_refused_token_of_ours_is_replaced_once(self, server: Answering, connect: Connect) -> None:
        server.say(PGRST301, replies({}))
        await connect(minting(server)).rpc("f", {})
        assert len(server.asked) == 2
        server.say(PGRST301)
        with pytest.raises(StoreRefused, match="JWT expired"):
            await connect(minting(server)).rpc("f", {})
        assert len(server.asked) == 4

    @pytest.mark.parametrize("off_s", [-7200, 7200])
    async def test_with_a_clock_hours_off_the_second_token_is_right(
        self, server: Answering, connect: Connect, recorder: HealthRecorder, off_s: int
    ) -> None:
        server_time = datetime.now(UTC) + timedelta(seconds=off_s)

        async def verify(request: web.Request) -> web.StreamResponse:
            claims = jwt.decode(
                request.headers["Authorization"].removeprefix("Bearer "), options={"verify_signature": False}
            )
            valid = claims["iat"] - 30 <= server_time.timestamp() < claims["exp"]
            body = {} if valid else {"code": "PGRST301", "message": "JWT expired"}
            date = format_datetime(server_time, usegmt=True)
            return web.json_response(body, status=200 if valid else 401, headers={"Date": date})

        server.say(verify)
        await connect(minting(server)).rpc("f", {})
        assert len(server.asked) == 2
        (warning,) = recorder.snapshot().warnings
        assert "2.0 hours" in warning and ("behind" if off_s > 0 else "ahead") in warning

    async def test_a_given_token_that_is_over_has_its_own_sentence(self, server: Answering, connect: Connect) -> None:
        over = jwt.encode({"role": "authenticated", "system_id": "here", "exp": time.time() - 60}, SIGNING)
        server.say(PGRST301)
        known = Credentials(server.url, "here", Secret("sb_publishable_x"), Secret(over))
        with pytest.raises(StoreRefused, match=r"`supabase.system_token` expired at"):
            await connect(known).rpc("f", {})
        assert len(server.asked) == 1

    async def test_what_cannot_work_is_not_even_asked(self, server: Answering, connect: Connect) -> None:
        with pytest.raises(StoreRefused, match="publishable key"):
            await connect(Credentials(server.url, "here", Secret("sb_publishable_x"))).rpc("f", {})
        assert server.asked == []

    @pytest.mark.parametrize("refusal", [PGRST301, refused(540), refused(402)])
    async def test_a_refused_key_or_a_paused_project_is_not_asked_again_for_a_while_by_any_call(
        self, server: Answering, connect: Connect, refusal: Answer
    ) -> None:
        uptime = Uptime()
        client = connect(uptime_s=uptime)
        server.say(refusal)
        for _ in range(600):  # ten minutes, with two calls each second
            for function in ("claim_tasks", "renew_leases"):
                with pytest.raises(StoreRefused, match=server.url):
                    await client.rpc(function, {})
            uptime.now_s += 1
        assert 8 <= len(server.asked) <= 20
        server.say(replies({}))
        uptime.now_s += 60
        for function in ("claim_tasks", "renew_leases"):
            await client.rpc(function, {})

    async def test_a_missing_function_stops_only_calls_of_that_one(self, server: Answering, connect: Connect) -> None:
        client = connect(uptime_s=Uptime())
        server.say(refused(404, "PGRST202"), replies({}))
        for _ in range(2):
            with pytest.raises(SchemaTooOld):
                await client.rpc("claim_tasks", {})
        await client.rpc("renew_leases", {})
        assert len(server.asked) == 2

    async def test_a_task_of_somebody_else_stops_nothing_and_is_no_trouble(
        self, server: Answering, connect: Connect, recorder: HealthRecorder
    ) -> None:
        client = connect(uptime_s=Uptime())
        server.say(refused(403, "42501", "Task t1 is leased by system 'there'."), replies({}))
        with pytest.raises(StoreRefused, match="t1 is leased"):
            await client.rpc("cancel_task", {"p_task_id": "t1"})
        assert recorder.snapshot().state is StoreState.DEGRADED
        await client.rpc("cancel_task", {"p_task_id": "t2"})

    async def test_a_system_that_may_not_claim_is_in_trouble(
        self, server: Answering, connect: Connect, recorder: HealthRecorder
    ) -> None:
        server.say(refused(403, "42501", "This token may not speak for system 'there'."))
        with pytest.raises(StoreRefused, match="may not speak"):
            await connect().rpc("claim_tasks", {"p_system_id": "there"})
        assert recorder.snapshot().state is StoreState.REFUSED

    async def test_a_fenced_write_is_never_paused(self, server: Answering, connect: Connect) -> None:
        server.say(refused(409, "PT409", "Superseded.", details='{"error": "Fenced"}'))
        client = connect()
        for _ in range(2):
            with pytest.raises(Fenced):
                await client.rpc("mark_task", {})
        assert len(server.asked) == 2


class TestHealth:
    async def test_what_calls_say_is_known(self, server: Answering, connect: Connect, recorder: HealthRecorder) -> None:
        client = connect(uptime_s=Uptime())
        assert recorder.snapshot().state is StoreState.STARTING
        for answer, state, error in (
            (DOWN, StoreState.AWAY, "does not work at the moment"),
            (replies({}), StoreState.DEGRADED, ""),
            (PGRST301, StoreState.REFUSED, "does not accept"),
        ):
            server.say(answer)
            with contextlib.suppress(StoreUnavailable, StoreRefused):
                await client.rpc("f", {})
            assert recorder.snapshot().state is state
            assert error in recorder.snapshot().last_error and bool(error) == bool(recorder.snapshot().last_error)


class TestProxies:
    @pytest.mark.parametrize(
        ("url", "loopback"),
        [
            ("http://127.0.0.1:1", True),
            ("http://127.9.9.9", True),
            ("http://[::1]:80", True),
            ("http://localhost:1", True),
            ("https://project.supabase.co", False),
            ("https://127.0.0.1.evil.com", False),
        ],
    )
    async def test_only_loopback_is_asked_directly(
        self, url: str, loopback: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:3128")
        assert is_loopback(url) is loopback
        async with http_client(url) as http:
            assert http.trust_env is not loopback

    async def test_a_proxy_of_the_environment_is_not_asked_for_loopback(
        self, server: Answering, connect: Connect, monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
    ) -> None:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{unused_tcp_port}")
        monkeypatch.setenv("NO_PROXY", "")
        server.say(replies({}))
        await connect().rpc("f", {})


class Uptime:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s
