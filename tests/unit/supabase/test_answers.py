"""What stands at the address of Supabase and answers too much."""

import gzip
import zlib
from collections.abc import Callable

import pytest
from aiohttp import web

from ccm_orchestrator.adapters.supabase import answers
from ccm_orchestrator.adapters.supabase.client import RestClient
from ccm_orchestrator.errors import StoreError
from tests.unit.supabase.answering import Answer, Answering

Connect = Callable[..., RestClient]
LIMIT = 1_000_000


def sends(body: bytes, packing: str = "", status: int = 200) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        headers = {"Content-Type": "application/json"} | ({"Content-Encoding": packing} if packing else {})
        return web.Response(body=body, status=status, headers=headers)

    return answer


async def endless(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Type": "application/json"})
    await answer.prepare(request)
    while True:
        await answer.write(b" " * 65_536)


@pytest.mark.parametrize(
    "answer",
    [
        endless,
        sends(b'"' + b"x" * LIMIT + b'"'),
        sends(b'"' + b"x" * LIMIT + b'"', status=500),
        sends(gzip.compress(b" " * 50 * LIMIT), "gzip"),
        sends(zlib.compress(b" " * 50 * LIMIT), "deflate"),
        sends(gzip.compress(gzip.compress(b"{}")), "gzip, gzip"),
        sends(b"{}", "zstd"),
        sends(b"{}", "br"),
    ],
    ids=["endless", "large", "large error", "gzip", "deflate", "twice", "zstd", "br"],
)
async def test_what_is_too_much_is_not_read_to_its_end(
    answer: Answer, server: Answering, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "MOST_BYTES", LIMIT)
    server.say(answer)
    with pytest.raises(StoreError, match="was not read to its end"):
        await connect().rpc("claim_tasks", {})


@pytest.mark.parametrize("deep", [b"[" * 100_000, b"[" * 100_000 + b"]" * 100_000])
async def test_what_is_nested_too_deep_is_an_error_of_the_store(
    deep: bytes, server: Answering, connect: Connect
) -> None:
    server.say(sends(deep))
    with pytest.raises(StoreError, match=r"nested too deep|does not answer as Supabase"):
        await connect().rpc("claim_tasks", {})


async def test_packed_answers_are_still_understood(server: Answering, connect: Connect) -> None:
    server.say(sends(gzip.compress(b'{"a": 1}'), "gzip"))
    assert await connect().rpc("f", {}) == {"a": 1}
    assert server.asked[0].headers["Accept-Encoding"] == "gzip, deflate"
