"""What the stand-in for Realtime tells of changes, to whom, and what it never tells."""

from collections.abc import Awaitable, Callable
from decimal import Decimal

import psycopg
import pytest

from ccm_orchestrator.devstack.realtime.bindings import MalformedBinding, read_binding
from ccm_orchestrator.devstack.realtime.server import RealtimeServer
from tests.realtime import INSERTS_A, TOPIC, A, B, SocketHost, Tasks, Wire, eventually, token

INSERTS = {"event": "INSERT", "schema": "public", "table": "tasks"}
EVERYTHING = {"event": "*", "schema": "public", "table": "tasks"}
LAST = "realtime:last"


async def heard(wire: Wire, tasks: Tasks, topic: str = TOPIC) -> list[str]:
    """The ids of what the topic was told so far, once everything before now has been told."""
    if wire.count("phx_reply", LAST) == 0:
        await wire.listen(LAST, INSERTS, access_token=token("service_role"))
    last = await tasks.add(B)
    await wire.find(lambda frame: frame["topic"] == LAST and last in str(frame["payload"]))
    return [change["record"]["id"] for change in wire.changes(topic) if change["record"]["id"] != last]


async def test_a_system_hears_of_its_own_rows_only(connect: Callable[..., Awaitable[Wire]], tasks: Tasks) -> None:
    wires = {system: await connect() for system in (A, B, "")}
    for system, wire in wires.items():
        own = token("authenticated" if system else "anon", system_id=system or None)
        await wire.listen(TOPIC, INSERTS, access_token=own)
    added = {system: await tasks.add(system) for system in (A, B)}
    for system in (A, B):
        await wires[system].event("postgres_changes", TOPIC)
        assert [change["record"]["id"] for change in wires[system].changes(TOPIC)] == [added[system]]
    assert await heard(wires[""], tasks) == []


async def test_a_column_that_the_role_may_not_read_is_not_told(wire: Wire, tasks: Tasks) -> None:
    await wire.listen(TOPIC, INSERTS, access_token=token(system_id=A))
    await wire.listen(LAST, INSERTS, access_token=token("service_role"))
    await tasks.add(secret="psst")
    await wire.event("postgres_changes", TOPIC)
    await wire.event("postgres_changes", LAST)
    (told,), (all_told,) = wire.changes(TOPIC), wire.changes(LAST)
    assert "secret" not in told["record"] and {"name": "secret", "type": "text"} not in told["columns"]
    assert all_told["record"]["secret"] == "psst"


async def test_a_row_that_is_gone_when_it_is_looked_at_is_not_told(
    wire: Wire, tasks: Tasks, server: RealtimeServer
) -> None:
    await wire.listen(TOPIC, INSERTS, access_token=token(system_id=A))
    async with tasks.connection.transaction():
        task_id = await tasks.add()
        await tasks.run("delete from tasks where id = %s", task_id)
    assert await heard(wire, tasks) == []


@pytest.mark.parametrize(
    ("condition", "values", "matches"),
    [
        ("priority=eq.5", {"priority": 5}, True),
        ("priority=eq.5", {"priority": 6}, False),
        ("priority=neq.5", {"priority": 6}, True),
        ("priority=lt.10", {"priority": 9}, True),
        ("priority=lte.9", {"priority": 9}, True),
        ("priority=gt.10", {"priority": 9}, False),
        ("priority=gte.9", {"priority": 9}, True),
        ("status=in.(queued,held)", {"status": "held"}, True),
        ("status=in.(queued,held)", {"status": "done"}, False),
        ("status=eq.a,b", {"status": "a,b"}, True),
        ("priority=gt.3,status=in.(queued,held)", {"priority": 4}, True),
        ("priority=gt.3,status=in.(queued,held)", {"priority": 3}, False),
        ("open=eq.true", {"open": True}, True),
        ("open=eq.true", {"open": None}, False),
        ("open=neq.true", {"open": None}, False),
        ("dedup_key=eq.null", {}, False),
        ("run_after=lt.2026-01-01T00:00:00Z", {"run_after": "2025-12-31 23:59:59+00"}, True),
    ],
)
async def test_filters_are_those_of_postgres(
    wire: Wire, tasks: Tasks, condition: str, values: dict[str, object], matches: bool
) -> None:
    await wire.listen(TOPIC, INSERTS | {"filter": condition}, access_token=token("service_role"))
    task_id = await tasks.add(B, **values)
    assert (task_id in await heard(wire, tasks)) is matches


@pytest.mark.parametrize(
    "condition", ["priority", "priority=like.5", "priority.eq=5", "status=in.a,b", f"status=in.({'x,' * 100}x)"]
)
def test_filters_that_are_none_are_refused(condition: str) -> None:
    with pytest.raises(MalformedBinding):
        _ = read_binding(INSERTS | {"filter": condition}).conditions


async def test_one_event_names_all_bindings_that_it_meets(wire: Wire, tasks: Tasks) -> None:
    never = INSERTS | {"filter": "open=eq.true"}
    joined = await wire.listen(TOPIC, INSERTS_A, EVERYTHING, never, access_token=token(system_id=A))
    first, second, _ = [binding["id"] for binding in joined["payload"]["response"]["postgres_changes"]]
    await tasks.add()
    assert (await wire.event("postgres_changes", TOPIC))["payload"]["ids"] == [first, second]
    assert wire.count("postgres_changes", TOPIC) == 1


async def test_updates_and_deletes_tell_the_primary_key_of_the_old_row(wire: Wire, tasks: Tasks) -> None:
    await wire.listen(TOPIC, EVERYTHING, access_token=token(system_id=A))
    await wire.listen("realtime:nobody", EVERYTHING | {"event": "DELETE"}, access_token=token("anon"))
    task_id = await tasks.add()
    await tasks.run("update tasks set status = 'done' where id = %s", task_id)
    await eventually(lambda: wire.count("postgres_changes", TOPIC) == 2)
    await tasks.run("delete from tasks where id = %s", task_id)
    await eventually(lambda: wire.count("postgres_changes", TOPIC) == 3 and bool(wire.changes("realtime:nobody")))
    _, update, delete = wire.changes(TOPIC)
    assert (update["type"], update["record"]["status"], update["old_record"]) == ("UPDATE", "done", {"id": task_id})
    assert (delete["type"], delete["old_record"], "record" in delete) == ("DELETE", {"id": task_id}, False)
    assert wire.changes("realtime:nobody") == [delete]


async def test_a_full_replica_identity_tells_all_of_the_old_row_but_not_of_a_deleted_one(
    wire: Wire, tasks: Tasks
) -> None:
    await tasks.run("alter table tasks replica identity full")
    try:
        await wire.listen(TOPIC, EVERYTHING | {"event": "UPDATE"}, access_token=token(system_id=A))
        deletes = EVERYTHING | {"event": "DELETE", "filter": f"system_id=eq.{A}"}
        await wire.listen("realtime:deletes", deletes, access_token=token("anon"))
        task_id = await tasks.add(status="new")
        await tasks.run("update tasks set status = 'done' where id = %s", task_id)
        await wire.event("postgres_changes", TOPIC)
        await tasks.run("delete from tasks where id = %s", task_id)
        await wire.event("postgres_changes", "realtime:deletes")
    finally:
        await tasks.run("alter table tasks replica identity default")
    assert wire.changes(TOPIC)[0]["old_record"]["status"] == "new"
    assert wire.changes("realtime:deletes")[0]["old_record"] == {"id": task_id}


async def test_an_oversized_change_keeps_only_short_values_and_loses_every_null(wire: Wire, tasks: Tasks) -> None:
    await wire.listen(TOPIC, INSERTS, access_token=token(system_id=A))
    task_id = await tasks.add(dedup_key="x" * 1_100_000, status="s" * 60, tags=["t" * 62])
    await wire.event("postgres_changes", TOPIC)
    (change,) = wire.changes(TOPIC)
    assert change["errors"] == ["Error 413: Payload Too Large"]
    assert set(change["record"]) == {"id", "system_id", "status", "priority", "fence", "run_after", "created_at"}
    assert change["record"]["id"] == task_id


async def test_an_unchanged_large_value_makes_a_frame_beyond_the_limit(wire: Wire, tasks: Tasks) -> None:
    await tasks.run("alter table tasks replica identity full")
    await tasks.run("alter table tasks alter dedup_key set storage external")
    try:
        await wire.listen(TOPIC, EVERYTHING | {"event": "UPDATE"}, access_token=token(system_id=A))
        task_id = await tasks.add(dedup_key="x" * 600_000)
        await tasks.run("update tasks set status = 'done' where id = %s", task_id)
        await wire.event("postgres_changes", TOPIC)
    finally:
        await tasks.run("alter table tasks replica identity default")
    assert len(wire.texts[-1]) > 2**20
    (change,) = wire.changes(TOPIC)
    assert len(change["record"]["dedup_key"]) == 600_000 and change["errors"] is None


async def test_values_are_as_postgres_writes_them(wire: Wire, tasks: Tasks) -> None:
    await wire.listen(TOPIC, INSERTS, access_token=token(system_id=A))
    big = 2**62 + 1
    await tasks.add(tags=["a b", "c,d"], fence=big, payload='{"n": 1.10, "big": 12345678901234567890.123456789}')
    await wire.event("postgres_changes", TOPIC)
    record = wire.changes(TOPIC)[0]["record"]
    assert (record["tags"], record["fence"], record["error"]) == (["a b", "c,d"], big, None)
    assert record["payload"] == {"n": Decimal("1.10"), "big": Decimal("12345678901234567890.123456789")}


async def test_what_a_role_has_no_right_to_is_an_error_without_a_record(wire: Wire, tasks: Tasks) -> None:
    await tasks.run("create table closed (id int primary key); create table keyless (id int)")
    await tasks.run("grant select on keyless to anon; alter publication supabase_realtime add table closed, keyless")
    try:
        for table in ("closed", "keyless"):
            await wire.listen(TOPIC + table, INSERTS | {"table": table}, access_token=token("anon"))
            await tasks.run(f"insert into {table} values (1)")
            await wire.event("postgres_changes", TOPIC + table)
    finally:
        await tasks.run("drop table closed, keyless")
    about = {"schema": "public", "type": "INSERT"}
    closed, keyless = "Error 401: Unauthorized", "Error 400: Bad Request, no primary key"
    assert wire.changes(TOPIC + "closed") == [about | {"table": "closed", "errors": [closed]}]
    assert wire.changes(TOPIC + "keyless") == [about | {"table": "keyless", "errors": [keyless]}]


async def test_what_happens_before_the_channel_is_ready_is_lost(
    wire: Wire, tasks: Tasks, server: RealtimeServer
) -> None:
    own = token(system_id=A)
    await tasks.add()
    server.pace.ready_s = 0.4
    await wire.join(TOPIC, INSERTS, access_token=own)
    await tasks.add()
    await wire.event("system", TOPIC)
    after = await tasks.add()
    assert await heard(wire, tasks) == [after]


async def test_what_happens_between_leaving_and_joining_is_lost(wire: Wire, tasks: Tasks) -> None:
    own = token(system_id=A)
    await wire.listen(TOPIC, INSERTS, access_token=own)
    await wire.ask(TOPIC, "phx_leave", ref="leave")
    await tasks.add()
    await wire.listen(TOPIC, INSERTS, access_token=own)
    assert await heard(wire, tasks) == []


async def test_what_happens_while_the_server_is_away_is_lost(
    host: SocketHost, connect: Callable[..., Awaitable[Wire]], tasks: Tasks
) -> None:
    await (await connect()).listen(TOPIC, INSERTS, access_token=token(system_id=A))
    await host.stop()
    await tasks.add()
    await host.start()
    wire = await connect()
    await wire.listen(TOPIC, INSERTS, access_token=token(system_id=A))
    after = await tasks.add()
    assert await heard(wire, tasks) == [after]


async def test_a_lost_database_is_found_again_and_every_channel_is_announced_anew(wire: Wire, tasks: Tasks) -> None:
    await wire.listen(TOPIC, INSERTS, access_token=token(system_id=A))
    await tasks.run("select pg_terminate_backend(active_pid) from pg_replication_slots")
    await tasks.add()
    await eventually(lambda: wire.count("system", TOPIC) == 2)
    after = await tasks.add()
    assert await heard(wire, tasks) == [after]


async def test_another_list_of_published_tables_subscribes_everybody_anew(
    wire: Wire, tasks: Tasks, server: RealtimeServer
) -> None:
    await wire.listen(TOPIC, INSERTS, access_token=token(system_id=A))
    server.pace.publication_s = 0.05
    await tasks.run("create table another (id int primary key); alter publication supabase_realtime add table another")
    try:
        await eventually(lambda: wire.count("system", TOPIC) == 2)
    finally:
        await tasks.run("drop table another")


async def test_what_was_done_to_a_table_before_it_was_published_is_not_told(wire: Wire, tasks: Tasks) -> None:
    everything = INSERTS | {"table": "*"}
    await wire.listen(TOPIC, everything, access_token=token("service_role"))
    await tasks.run("create table late (id int primary key); grant select on late to service_role")
    await tasks.run("insert into late values (1)")
    await heard(wire, tasks)
    await tasks.run("alter publication supabase_realtime add table late")
    try:
        await wire.listen("realtime:late", INSERTS | {"table": "late"}, access_token=token("service_role"))
        await tasks.run("insert into late values (2)")
        await wire.event("postgres_changes", "realtime:late")
    finally:
        await tasks.run("drop table late")
    assert [change["record"] for change in wire.changes("realtime:late")] == [{"id": 2}]


async def test_what_is_no_change_of_a_row_is_passed_over(wire: Wire, tasks: Tasks) -> None:
    await wire.listen(TOPIC, EVERYTHING, access_token=token(system_id=A))
    await tasks.run("select pg_logical_emit_message(true, 'somebody', 'was here')")
    await tasks.run("create table emptied (id int primary key); alter publication supabase_realtime add table emptied")
    await tasks.run("truncate emptied; drop table emptied")
    assert await heard(wire, tasks) == []


async def test_a_publication_of_inserts_tells_of_inserts(wire: Wire, tasks: Tasks) -> None:
    await tasks.run("alter publication supabase_realtime set (publish = 'insert')")
    try:
        await wire.listen(TOPIC, EVERYTHING, access_token=token(system_id=A))
        task_id = await tasks.add()
        await tasks.run("update tasks set status = 'done' where id = %s", task_id)
        assert await heard(wire, tasks) == [task_id]
    finally:
        await tasks.run("alter publication supabase_realtime set (publish = 'insert, update, delete, truncate')")


async def test_a_server_does_not_start_without_its_database() -> None:
    server = RealtimeServer("postgresql://nobody@127.0.0.1:1/none", "secret")
    with pytest.raises(psycopg.OperationalError):
        await server.start()
    await server.stop()
