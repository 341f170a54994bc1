"""Clients that go away at the worst moment must not silence the others."""

from ccm_orchestrator.devstack.realtime.server import RealtimeServer
from tests.realtime import INSERTS_A, A, Tasks, Wire, token

CHANNELS = 80


async def test_whoever_leaves_while_it_is_subscribed_silences_nobody(
    server: RealtimeServer, wire: Wire, tasks: Tasks
) -> None:
    server.pace.ready_s = 0.0
    own = token(system_id=A)
    for number in range(CHANNELS):
        topic = f"realtime:passing-{number}"
        ref = await wire.send_join(topic, INSERTS_A, access_token=own)
        if number % 2:
            await wire.reply(ref)
        await wire.send(topic, "phx_leave", join_ref=ref)
    await wire.listen("realtime:staying", INSERTS_A, access_token=own)
    assert server.topics == ["realtime:staying"]
    await tasks.add()
    await wire.event("postgres_changes", "realtime:staying")
    assert {frame["topic"] for frame in wire.frames if frame["event"] == "postgres_changes"} == {"realtime:staying"}
