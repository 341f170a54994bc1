"""The stand-in speaks as Realtime does: joins, tokens, leaving. Its frames are held against golden ones."""

import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from ccm_orchestrator.devstack.realtime.server import RealtimeServer
from ccm_orchestrator.devstack.realtime.tokens import TokenCheck, TokenRefused
from tests.realtime import INSERTS_A, SECRET, TOPIC, A, B, Frame, SocketHost, Tasks, Wire, eventually, token

GOLDEN: dict[str, Frame] = json.loads((Path(__file__).parents[1] / "realtime_frames.json").read_text())
BINDING_ID = 88078474


def golden(name: str, binding_id: int = BINDING_ID) -> Frame:
    frame: Frame = json.loads(json.dumps(GOLDEN[name]).replace(str(BINDING_ID), str(binding_id)))
    return frame


async def join_as_recorded(wire: Wire) -> int:
    """The id of the binding."""
    frame = golden("join")
    frame["payload"]["access_token"] = token(system_id=A)
    await wire.socket.send_json(frame)
    joined = await wire.reply("1")
    (binding,) = joined["payload"]["response"]["postgres_changes"]
    assert joined == golden("joined", binding["id"])
    return int(binding["id"])


async def test_a_channel_joins_is_ready_and_hears_of_an_insert(wire: Wire, tasks: Tasks) -> None:
    binding_id = await join_as_recorded(wire)
    assert await wire.event("system", TOPIC) == golden("ready")
    at = "2026-11-21T07:47:27.984858+00"
    payload = r'{"prompt": "hé \"q\" \\ x", "n": 1.50, "l": [1, null, true]}'
    task_id = golden("insert")["payload"]["data"]["record"]["id"]
    await tasks.run("delete from tasks where id = %s", task_id)
    await tasks.add(id=task_id, dedup_key="k1", payload=payload, run_after=at, created_at=at)
    heard, wanted = await wire.event("postgres_changes", TOPIC), golden("insert", binding_id)
    data, wanted_data = heard["payload"].pop("data"), wanted["payload"].pop("data")
    assert heard == wanted
    record, wanted_record = data.pop("record"), wanted_data.pop("record")
    assert {name: record[name] for name in wanted_record} == wanted_record
    assert '"n": 1.50' in wire.texts[-1]
    columns = data.pop("columns")
    assert all(column in columns for column in wanted_data.pop("columns"))
    assert len(data.pop("commit_timestamp")) == len(wanted_data.pop("commit_timestamp"))
    assert data == wanted_data


async def test_heartbeats_are_answered(wire: Wire) -> None:
    await wire.socket.send_json(golden("heartbeat"))
    assert await wire.event("phx_reply", "phoenix") == golden("heartbeat answered")


async def test_leaving_is_answered_and_then_the_channel_is_closed(wire: Wire, tasks: Tasks) -> None:
    await join_as_recorded(wire)
    await wire.event("system", TOPIC)
    await wire.socket.send_json(golden("leave"))
    await wire.event("phx_close", TOPIC)
    assert wire.frames[-2:] == [golden("left"), golden("closed")]
    await tasks.add()
    late = await wire.ask(TOPIC, "access_token", {"access_token": token()}, ref="late")
    assert late["payload"] == {"status": "error", "response": {"reason": "unmatched topic"}}
    assert wire.changes(TOPIC) == []


async def test_equal_bindings_have_equal_ids_and_none_is_an_empty_list(wire: Wire) -> None:
    own = token(system_id=A)
    joined = await wire.join(TOPIC, INSERTS_A, INSERTS_A, {"event": "*", "schema": "public"}, access_token=own)
    first, second, other = joined["payload"]["response"]["postgres_changes"]
    assert first["id"] == second["id"] != other["id"]
    assert 0 < first["id"] < 2**27
    assert other == {"event": "*", "schema": "public", "id": other["id"]}
    joined = await wire.join("realtime:idle", access_token=own)
    assert joined["payload"] == {"status": "ok", "response": {"postgres_changes": []}}


@pytest.mark.parametrize(
    ("access_token", "reason"),
    [
        (token(life_s=-3), "InvalidJWTToken: Token has expired 3 seconds ago"),
        (token(life_s=None), "InvalidJWTToken: Fields `role` and `exp` are required in JWT"),
        (token(role=None), "InvalidJWTToken: Fields `role` and `exp` are required in JWT"),
        ("nonsense", "MalformedJWT: The token provided is not a valid JWT"),
        (token()[:-4] + "AAAA", "JwtSignatureError: Failed to validate JWT signature"),
        (jwt.encode({"role": "anon"}, ec.generate_private_key(ec.SECP256R1()), "ES256"), "JwtSignerError: "),
    ],
    ids=["expired", "no exp", "no role", "malformed", "signature", "signer"],
)
async def test_a_join_with_a_bad_token_is_refused(wire: Wire, access_token: str, reason: str) -> None:
    refused = await wire.join(TOPIC, INSERTS_A, access_token=access_token)
    assert refused["payload"]["status"] == "error"
    said = refused["payload"]["response"]["reason"]
    if "expired" not in reason:
        assert said.startswith(reason)
    else:  # a few seconds may have gone by since the tests were collected
        assert refused["topic"] == golden("join refused")["topic"]
        assert said.partition("expired")[0] == reason.partition("expired")[0]


async def test_a_refusal_takes_its_time_and_holds_up_the_whole_socket(wire: Wire, server: RealtimeServer) -> None:
    server.pace.join_error_s = 0.3
    started = time.monotonic()
    await wire.send_join(TOPIC, access_token="nonsense")
    await wire.socket.send_json(golden("heartbeat"))
    await wire.event("phx_reply", "phoenix")
    assert [frame["topic"] for frame in wire.frames] == [TOPIC, "phoenix"]
    assert time.monotonic() - started >= 0.3


@pytest.mark.parametrize("binding", [{"table": "nowhere"}, {"filter": "nothing=eq.1"}, {"filter": "priority=eq.high"}])
async def test_a_subscription_without_sense_is_told_after_a_good_join(wire: Wire, binding: dict[str, str]) -> None:
    joined = await wire.join(TOPIC, INSERTS_A | binding, access_token=token(system_id=A))
    assert joined["payload"]["status"] == "ok"
    told, wanted = await wire.event("system", TOPIC), golden("not published")
    message, begin = told["payload"].pop("message"), wanted["payload"].pop("message")
    assert message.startswith(begin.replace("tasks", binding.get("table", "tasks")))
    assert told == wanted


async def test_a_filter_on_a_column_that_the_role_may_not_read_is_refused(wire: Wire) -> None:
    await wire.join(TOPIC, INSERTS_A | {"filter": "secret=eq.x"}, access_token=token(system_id=A))
    assert (await wire.event("system", TOPIC))["payload"]["status"] == "error"
    await wire.listen("realtime:server", INSERTS_A | {"filter": "secret=eq.x"}, access_token=token("service_role"))


async def test_a_second_join_is_answered_before_the_first_channel_is_closed(wire: Wire, tasks: Tasks) -> None:
    own = token(system_id=A)
    first = await wire.listen(TOPIC, INSERTS_A, access_token=own)
    second = await wire.listen(TOPIC, INSERTS_A, access_token=own)
    closed = await wire.event("phx_close", TOPIC)
    assert closed["ref"] == first["ref"]
    assert wire.frames.index(second) < wire.frames.index(closed)
    await tasks.add()
    await wire.event("postgres_changes", TOPIC)
    assert wire.count("postgres_changes", TOPIC) == 1


async def test_a_refused_second_join_leaves_the_first_channel_alone(wire: Wire, tasks: Tasks) -> None:
    await wire.listen(TOPIC, INSERTS_A, access_token=token(system_id=A))
    assert (await wire.join(TOPIC, INSERTS_A, access_token="nonsense"))["payload"]["status"] == "error"
    await tasks.add()
    await wire.event("postgres_changes", TOPIC)


async def test_an_expired_token_ends_its_channel(wire: Wire, tasks: Tasks) -> None:
    await wire.listen(TOPIC, INSERTS_A, access_token=token(life_s=1, system_id=A))
    closed = await wire.event("phx_close", TOPIC)
    assert wire.frames[-2:] == [golden("expired"), closed]
    assert closed["ref"] == "1"
    await tasks.add()
    await wire.ask("phoenix", "heartbeat", ref="last")
    assert wire.changes(TOPIC) == []


async def test_a_new_token_prolongs_the_channel_and_is_announced_by_another_ready(wire: Wire, tasks: Tasks) -> None:
    await wire.listen(TOPIC, INSERTS_A, access_token=token(life_s=1.5, system_id=A))
    fresh = token(system_id=A)
    await wire.send(TOPIC, "access_token", {"access_token": fresh}, join_ref="1")
    await eventually(lambda: wire.count("system", TOPIC) == 2)
    assert wire.frames[-1] == golden("ready")
    await eventually(lambda: time.time() > jwt.decode(fresh, options={"verify_signature": False})["exp"] - 3598)
    await tasks.add()
    await wire.event("postgres_changes", TOPIC)
    assert wire.count("phx_close", TOPIC) == 0


async def test_a_new_token_decides_only_once_it_is_announced(wire: Wire, tasks: Tasks, server: RealtimeServer) -> None:
    everything = INSERTS_A | {"filter": ""}
    await wire.listen(TOPIC, everything, access_token=token(system_id=A))
    server.pace.ready_s = 0.5
    await wire.send(TOPIC, "access_token", {"access_token": token(system_id=B)})
    await wire.ask("phoenix", "heartbeat", ref="taken in")
    first = await tasks.add(A)
    await eventually(lambda: wire.count("system", TOPIC) == 2)
    await tasks.add(A)
    second = await tasks.add(B)
    await eventually(lambda: wire.count("postgres_changes", TOPIC) == 2)
    assert [change["record"]["id"] for change in wire.changes(TOPIC)] == [first, second]


async def test_the_same_token_or_an_opaque_one_changes_nothing(wire: Wire, tasks: Tasks) -> None:
    own = token(system_id=A)
    await wire.listen(TOPIC, INSERTS_A, access_token=own)
    for unheard in (own, "sb_publishable_abc", None):
        await wire.send(TOPIC, "access_token", {"access_token": unheard})
    await wire.ask("phoenix", "heartbeat", ref="taken in")
    await wire.listen("realtime:later", INSERTS_A, access_token=own)
    assert wire.count("system", TOPIC) == 1
    await tasks.add()
    await wire.event("postgres_changes", TOPIC)


async def test_a_bad_new_token_ends_the_channel(wire: Wire) -> None:
    await wire.listen(TOPIC, INSERTS_A, access_token=token(system_id=A))
    await wire.send(TOPIC, "access_token", {"access_token": token(life_s=-5, system_id=A)})
    await wire.event("phx_close", TOPIC)
    assert wire.frames[-2]["payload"]["status"] == "error"
    assert wire.frames[-2]["payload"]["message"].startswith("Token has expired 5 seconds ago")


async def test_a_channel_without_a_token_is_that_of_the_key(
    connect: Callable[..., Awaitable[Wire]], tasks: Tasks
) -> None:
    anonymous, server = await connect(), await connect(token("service_role"))
    for wire, access_token in ((anonymous, None), (server, "sb_secret_ignored")):
        await wire.listen(TOPIC, INSERTS_A, access_token=access_token)
    await tasks.add()
    await server.event("postgres_changes", TOPIC)
    assert anonymous.changes(TOPIC) == []


@pytest.mark.parametrize(
    "key", ["", "nonsense", token("anon", life_s=-1), token("anon", life_s=None)], ids=["none", "bad", "old", "no exp"]
)
async def test_a_handshake_without_a_good_key_is_refused_in_json(host: SocketHost, key: str) -> None:
    async with aiohttp.ClientSession() as session:
        answer = await session.get(f"{host.url}/websocket", params={"apikey": key, "vsn": "1.0.0"})
        assert answer.status == 401
        assert list(await answer.json()) == ["error"]


async def test_an_x_api_key_header_goes_before_the_key_in_the_address(host: SocketHost) -> None:
    async with aiohttp.ClientSession(headers={"x-api-key": token("anon")}) as session:
        await (await session.ws_connect(f"{host.url}/websocket?apikey=nonsense")).close()


async def test_the_server_says_goodbye(wire: Wire, host: SocketHost) -> None:
    await wire.listen(TOPIC, INSERTS_A, access_token=token(system_id=A))
    await host.stop()
    assert await wire.closed() == 1012
    assert wire.frames[-1] == golden("farewell")


async def test_a_silent_client_is_sent_away(wire: Wire, server: RealtimeServer) -> None:
    server.pace.idle_s = 0.1
    await wire.send("phoenix", "heartbeat")
    assert await wire.closed() == 1002


async def test_asymmetric_tokens_need_the_name_of_a_key() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    public = ECAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": "k1", "alg": "ES256"}
    check = TokenCheck(SECRET, {"keys": [public]})
    claims = {"role": "authenticated", "exp": 2_000_000_000}
    assert check.claims(jwt.encode(claims, key, "ES256", {"kid": "k1"}), 0.0).role == "authenticated"
    for headers in ({}, {"kid": "other"}):
        with pytest.raises(TokenRefused, match="JwtSignerError"):
            check.claims(jwt.encode(claims, key, "ES256", headers), 0.0)
    stranger = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(TokenRefused, match="JwtSignatureError"):
        check.claims(jwt.encode(claims, stranger, "ES256", {"kid": "k1"}), 0.0)
