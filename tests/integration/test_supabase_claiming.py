"""Claims in a real database: routing, the order of domain/queueing.py, many claimers at once, what a claim costs."""

import random
import statistics
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from ccm_orchestrator.devstack.stack import LocalSupabase
from ccm_orchestrator.domain import presence
from ccm_orchestrator.domain.presence import CONNECTION_GAP, HEARTBEAT_PRECISION, Presence
from ccm_orchestrator.domain.queueing import Candidate, fairest_first, triage
from tests.supabase_http import LEASE_S, Caller, sql

CLAIMERS = 8
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def service(supabase: LocalSupabase) -> Iterator[Caller]:
    caller = Caller(supabase, supabase.service_key)
    caller.register()
    caller.has_project()
    yield caller
    caller.close()


def each_in_its_thread(work: Callable[[int], Any], count: int) -> list[Any]:
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(work, range(count)))


def claim(connection: psycopg.Connection, system: str, count: int, request: str | None = None) -> list[dict[str, Any]]:
    values = (request or uuid.uuid4().hex, system, f"{system}-boot", count, LEASE_S)
    row = connection.execute("select claim_tasks(%s, %s, %s, %s, %s)", values).fetchone()
    assert row is not None
    return list(row[0])


def claimed_ids(tasks: Sequence[dict[str, Any]]) -> list[str]:
    return [task["task_id"] for task in tasks]


class TestRouting:
    def test_a_system_must_have_all_labels(self, service: Caller) -> None:
        for name, labels in (("bare", []), ("gpu-", ["gpu"]), ("both", ["gpu", "mac"])):
            service.enqueue(task_id=name, labels=labels)
        service.register("there", labels=["mac", "gpu", "big"])
        service.has_project("there")
        assert claimed_ids(service.claim()) == ["bare"]
        service.register(labels=["gpu"])
        assert claimed_ids(service.claim()) == ["gpu-"]
        assert claimed_ids(service.claim("there")) == ["both"]

    def test_a_project_that_only_others_have_is_left_to_them(self, service: Caller) -> None:
        service.has_project("there", "other")
        task = service.enqueue(project="other")
        assert service.claim() == []
        assert claimed_ids(service.claim("there")) == [task["task_id"]]

    def test_a_project_that_nobody_has_is_held_whoever_asks(self, service: Caller) -> None:
        service.send("POST", "tasks", {"task_id": "mine", "project": "nowhere", "prompt": "x", "system_id": "there"})
        assert service.claim() == []
        expected = triage([Candidate("mine", "nowhere", 0, (), True)], {}, ()).holds["mine"].detail
        assert service.rpc("get_task", p_task_id="mine")["hold_detail"] == expected

    def test_a_task_for_a_system_without_its_project_is_held_when_that_system_asks(self, service: Caller) -> None:
        service.register("there")
        service.enqueue(task_id="mine", system_id="there")
        assert service.claim() == []
        assert service.rpc("get_task", p_task_id="mine")["status"] == "queued"
        assert service.claim("there") == []
        held = service.rpc("get_task", p_task_id="mine")
        assert held["hold_reason"] == "invalid"
        assert held["hold_detail"].startswith("System 'there' has no project named 'demo': add it there with")

    def test_the_project_of_the_system_that_claims_gives_the_profile(self, service: Caller) -> None:
        service.has_project("there", profile="planning")
        assert service.enqueue()["profile"] is None
        assert service.enqueue(profile="brain")["profile"] == "brain"
        assert [task["profile"] for task in service.claim("there", 2)] == ["planning", "brain"]
        service.enqueue()
        assert service.claim()[0]["profile"] == "executor"

    def test_a_draining_system_gets_nothing_and_one_whose_drain_ended_does(self, service: Caller) -> None:
        service.enqueue()
        service.rpc("drain_system", p_system_id="here", p_draining=True)
        assert service.claim() == []
        service.rpc("drain_system", p_system_id="here", p_draining=False)
        assert len(service.claim()) == 1


class TestOrder:
    @pytest.mark.parametrize("seed", range(15))
    def test_any_queue_is_claimed_in_the_order_of_the_domain(self, service: Caller, seed: int) -> None:
        chance = random.Random(seed)
        projects = [f"p{n}" for n in range(chance.choice([1, 3, 5, 30]))]
        for project in projects:
            service.has_project(name=project)
        rows = [
            (f"task-{n}", chance.choice(projects), chance.choice([0, 0, 1, 5]), chance.random() < 0.2)
            for n in range(chance.randint(1, 60))
        ]
        with psycopg.connect(service.stack.owner_url, autocommit=True) as connection:
            connection.cursor().executemany(
                "insert into tasks (task_id, project, prompt, priority, run_after) values (%s, %s, 'x', %s,"
                " case when %s then '2100-01-01'::timestamptz end)",
                rows,
            )
            left = [Candidate(task_id, project, priority, (), not late) for task_id, project, priority, late in rows]
            leased: Counter[str] = Counter()
            while True:
                count = chance.randint(1, 12)
                expected = [
                    candidate
                    for _, candidate in zip(
                        range(count), fairest_first(triage(left, {}, projects).claimable, leased), strict=False
                    )
                ]
                assert claimed_ids(claim(connection, "here", count)) == [each.task_id for each in expected]
                if not expected:
                    break
                leased.update(each.project for each in expected)
                left = [each for each in left if each not in expected]


class TestManyAtOnce:
    def test_eight_claimers_take_each_of_a_thousand_tasks_once(self, service: Caller) -> None:
        sql(service.stack, "insert into tasks (project, prompt) select 'demo', 'x' from generate_series(1, 1000)")
        for n in range(CLAIMERS):
            service.has_project(f"system-{n}")

        def work(n: int) -> list[tuple[str, int]]:
            taken: list[tuple[str, int]] = []
            with psycopg.connect(service.stack.owner_url, autocommit=True) as connection:
                while tasks := claim(connection, f"system-{n}", 1 + n):
                    taken += [(task["task_id"], task["fence"]) for task in tasks]
            return taken

        began = time.monotonic()
        taken = [entry for part in each_in_its_thread(work, CLAIMERS) for entry in part]
        seconds = time.monotonic() - began
        assert len(taken) == len({task_id for task_id, _ in taken}) == 1000
        assert {fence for _, fence in taken} == {1}
        print(f"{CLAIMERS} claimers: 1000 tasks in {seconds:.2f} s, 0 duplicates")

    def test_two_hundred_repetitions_of_one_request_at_once_claim_once(self, service: Caller) -> None:
        for _ in range(30):
            service.enqueue()
        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(lambda _: service.claim(count=3, request="the same"), range(200)))
        assert len({(task["task_id"], task["fence"]) for answer in answers for task in answer}) == 3
        assert all(len(answer) == 3 for answer in answers)
        assert service.rpc("task_counts")["claimed"] == 3

    def test_one_dedup_key_asked_for_by_many_at_once_becomes_one_task(self, service: Caller) -> None:
        wish = {"project": "demo", "prompt": "x", "dedup_key": "issue-1"}
        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(lambda _: service.rpc("enqueue_task", p_task=wish), range(60)))
        assert len({answer["task"]["task_id"] for answer in answers}) == 1
        assert sum(answer["created"] for answer in answers) == 1

    def test_two_systems_that_drop_the_last_copies_of_a_project_at_once_do_not_strand_its_tasks(
        self, service: Caller
    ) -> None:
        for _ in range(5):
            for system in ("here", "there"):
                service.has_project(system)
            task = service.enqueue()
            barrier = threading.Barrier(2)

            def drop(n: int, barrier: threading.Barrier = barrier) -> int:
                barrier.wait()
                return service.call("remove_project", p_system_id=("here", "there")[n], p_name="demo").status_code

            assert sorted(each_in_its_thread(drop, 2)) == [200, 409]
            service.rpc("cancel_task", p_task_id=task["task_id"])

    def test_whatever_is_done_at_once_nobody_waits_for_each_other(self, service: Caller) -> None:
        """A deadlock, a serialization failure or any other error of Postgres fails it."""
        for system in ("one", "two", "three"):
            service.has_project(system)
        sql(
            service.stack,
            "insert into tasks (project, prompt, dedup_key) select 'demo', 'x', g from generate_series(1, 40) g",
        )
        stop_at = time.monotonic() + 4

        def work(n: int) -> Counter[str]:
            chance, done = random.Random(n), Counter[str]()
            with psycopg.connect(service.stack.owner_url, autocommit=True) as connection:
                while time.monotonic() < stop_at:
                    done[_anything(connection, chance, ("one", "two", "three")[n % 3])] += 1
            return done

        done = sum(each_in_its_thread(work, 6), Counter[str]())
        print("done at once:", dict(done))
        assert done.total() > 50
        ended = "select count(*) from tasks t where (t.status in ('claimed', 'running', 'waiting', 'orphaned')) <> "
        assert sql(service.stack, ended + "exists (select from task_leases l where l.task_id = t.task_id)") == [(0,)]


def _anything(connection: psycopg.Connection, chance: random.Random, system: str) -> str:
    """One random call, on tasks of anybody; what the functions refuse on purpose is fine."""
    held = connection.execute(
        "select t.task_id, t.fence from tasks t order by random() limit %s", (chance.randint(1, 15),)
    ).fetchall()
    keys = Jsonb([{"task_id": task_id, "fence": fence} for task_id, fence in held])
    task_id, fence = held[0]
    calls: dict[str, tuple[str, Sequence[object]]] = {
        "claim": ("select claim_tasks(%s, %s, 'b', 5, 60)", (uuid.uuid4().hex, system)),
        "renew": ("select renew_leases(%s, %s, %s, 0)", (system, chance.choice("bc"), keys)),
        "begin": ("select begin_task(%s, %s, 'run')", (task_id, fence)),
        "finish": ("select finish_task(%s, %s, %s)", (task_id, fence, Jsonb({"outcome": "failed"}))),
        "release": ("select release_task(%s, %s, %s)", (task_id, fence, Jsonb({"kind": "voluntary"}))),
        "adopt": ("select adopt_task(%s, %s, %s, 'b', 60)", (task_id, fence, system)),
        "cancel": ("select cancel_task(%s)", (task_id,)),
        "retry": ("select retry_task(%s)", (task_id,)),
        "rescue": ("select rescue_tasks(%s, 1)", (system,)),
        "project": ("select add_project(%s, %s)", (system, Jsonb({"name": "demo", "path": "/demo"}))),
        "drop": ("select remove_project(%s, 'demo')", (system,)),
        "event": (
            "select append_task_events(%s, %s)",
            (system, Jsonb([{"event_key": f"{n}", "task_id": each, "kind": "x"} for n, (each, _) in enumerate(held)])),
        ),
        "prune": ("select prune_history('2000-01-01', 10)", ()),
    }
    name = chance.choice(list(calls))
    try:
        connection.execute(calls[name][0].encode(), calls[name][1])
    except psycopg.Error as error:
        assert error.sqlstate and error.sqlstate.startswith("PT"), (name, error)
        return f"{name} refused"
    return name


class TestPresence:
    """The database's own reckoning, beside that of the domain."""

    def test_heartbeats_are_those_of_the_domain(self, service: Caller) -> None:
        gaps = [0, 1, 4.9, 5, 5.1, 60, 119.9, 120, 120.1, 121, 3600]
        chance, known, now = random.Random(7), None, START
        for _ in range(60):
            now += timedelta(seconds=chance.choice(gaps))
            boot_id = chance.choice([None, "one", "one", "two"])
            service.stack.set_clock(now)
            known = presence.heartbeat(known, "beats", boot_id, now)
            if boot_id is None:
                service.rpc("rescue_tasks", p_system_id="beats", p_takeover_grace_s=600)
            else:
                service.renew(system="beats", boot=boot_id)
            question = "select boot_id, last_seen, connected_since from systems where system_id = 'beats'"
            ((boot, last_seen, connected_since),) = sql(service.stack, question)
            assert Presence("beats", boot, last_seen, connected_since) == known
        assert timedelta(seconds=5) == HEARTBEAT_PRECISION and timedelta(seconds=120) == CONNECTION_GAP

    def test_systems_that_are_silent_for_five_minutes_are_shown(self, service: Caller) -> None:
        service.stack.set_clock(START)
        service.register("quiet", system_name="the quiet one")
        service.stack.advance_clock(timedelta(minutes=4))
        service.renew()
        assert service.rows("silent_systems?system_id=eq.quiet") == []
        service.stack.advance_clock(timedelta(minutes=1, seconds=1))
        (silent,) = service.rows("silent_systems?system_id=eq.quiet")
        assert (silent["system_name"], silent["silent_s"]) == ("the quiet one", 301)
        (listed,) = [row for row in service.rpc("list_systems") if row["system_id"] == "quiet"]
        assert (listed["silent_s"], listed["leased"], listed["draining"]) == (301, 0, False)


QUEUES = {
    "plain": "select 'demo', repeat('x', 500), null, '{}'::text[] from generate_series(1, 10000)",
    "50 projects": "select 'p' || (g % 50), repeat('x', 500), null, '{}'::text[] from generate_series(1, 10000) g",
    "9000 not due": "select 'demo', 'x', case when g < 9000 then timestamptz '2100-01-01' end, '{}'::text[]"
    " from generate_series(1, 10000) g",
    "9000 waiting": "select 'demo', 'x', null, case when g < 9000 then '{first}'::text[] else '{}' end"
    " from generate_series(1, 10000) g",
}


class TestCost:
    @pytest.mark.parametrize("queue", QUEUES)
    def test_with_ten_thousand_queued_rows(self, service: Caller, queue: str) -> None:
        """Milliseconds are printed and not asserted, on a machine that others use, too."""
        for n in range(50):
            service.has_project(name=f"p{n}")
        sql(service.stack, "insert into tasks (task_id, project, prompt, priority) values ('first', 'demo', 'x', -9)")
        sql(service.stack, f"insert into tasks (project, prompt, run_after, after) {QUEUES[queue]}")
        with psycopg.connect(service.stack.owner_url, autocommit=True) as connection:
            connection.execute("analyze tasks")
            one = self._timed(lambda: len(claim(connection, "here", 1)), 1)
            ten = self._timed(lambda: len(claim(connection, "here", 10)), 10)
            claimed = connection.execute("select task_id, fence from tasks where status = 'claimed' limit 100")
            keys = Jsonb([{"task_id": task_id, "fence": fence} for task_id, fence in claimed])
            renew = (
                "select jsonb_array_length(jsonb_path_query_array("
                "renew_leases('here', 'here-boot', %s, 60), '$.answers.*'))"
            )
            renewed = self._timed(lambda: connection.execute(renew.encode(), (keys,)).fetchone()[0], 100)  # type: ignore[index]
        print(f"{queue}: claim 1 {one}, claim 10 {ten}, renew 100 {renewed}")

    @staticmethod
    def _timed(work: Callable[[], int], expected: int) -> str:
        taken = []
        for _ in range(20):
            began = time.perf_counter()
            assert work() == expected
            taken.append((time.perf_counter() - began) * 1000)
        return f"{statistics.median(taken):.1f} ms (worst {max(taken):.1f})"
