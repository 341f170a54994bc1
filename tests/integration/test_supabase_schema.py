"""The schema in a real database: how it is brought there, what it opens to whom, and rows that people write by hand."""

import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from ccm_orchestrator.adapters.supabase import migrations, migrator
from ccm_orchestrator.devstack.stack import LocalSupabase
from ccm_orchestrator.domain import queueing
from ccm_orchestrator.domain.task import NewTask, TaskStatus, problem_with
from ccm_orchestrator.errors import SchemaTooNew, StoreError, StoreRefused
from ccm_orchestrator.security.secrets import Secret
from tests.supabase_http import FAILED, Caller, sql

SHIPPED = migrations.shipped_migrations()


@pytest.fixture
def service(supabase: LocalSupabase) -> Iterator[Caller]:
    """Speaks for every system; `here` is there and has the project `demo`."""
    caller = Caller(supabase, supabase.service_key)
    caller.register()
    caller.has_project()
    yield caller
    caller.close()


@pytest.fixture
def empty_database(supabase: LocalSupabase) -> Iterator[Secret]:
    """One that has nothing of ours, in the same cluster. Shows the URL of its owner, who is no superuser."""
    name = f"fresh_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(supabase.database_url, autocommit=True) as connection:
        connection.execute(f"create database {name} owner postgres".encode())
        yield Secret(supabase.owner_url.replace("/postgres?", f"/{name}?"))
        connection.execute(f"drop database {name} with (force)".encode())


def catalogue(url: Secret, question: str) -> list[Any]:
    with psycopg.connect(url.reveal()) as connection:
        return [row[0] for row in connection.execute(question.encode())]


class TestMigrating:
    def test_from_nothing_then_nothing_more(self, empty_database: Secret) -> None:
        assert migrator.read_schema(empty_database).applied == ()
        assert migrator.migrate(empty_database) == list(SHIPPED)
        assert migrator.migrate(empty_database) == []
        assert migrator.read_schema(empty_database) == migrator.SchemaReport(tuple(SHIPPED), ())
        published = "select tablename::text from pg_publication_tables where pubname = 'supabase_realtime'"
        assert catalogue(empty_database, published) == ["tasks"]

    def test_what_the_sql_editor_has_run_counts(self, empty_database: Secret) -> None:
        first, *others = SHIPPED
        with psycopg.connect(empty_database.reveal(), autocommit=True) as connection:
            for _ in range(2):
                connection.execute(migrations.script([first]).encode())
        assert migrator.read_schema(empty_database).pending == tuple(others)
        assert migrator.migrate(empty_database) == others

    def test_of_several_migrators_each_applies_what_the_other_has_not(self, empty_database: Secret) -> None:
        done: list[str] = []
        several = [threading.Thread(target=lambda: done.extend(migrator.migrate(empty_database))) for _ in range(3)]
        for thread in several:
            thread.start()
        for thread in several:
            thread.join(60)
        assert sorted(done) == list(SHIPPED)

    def test_a_migration_that_fails_leaves_nothing_behind(self, empty_database: Secret) -> None:
        broken = {"20990101000000_broken": "create table public.half (n int); select 1 / 0"}
        with pytest.raises(StoreError, match=r"20990101000000_broken.*division by zero"):
            migrator.migrate(empty_database, dict(SHIPPED) | broken)
        assert migrator.read_schema(empty_database).pending == ()
        assert catalogue(empty_database, "select to_regclass('public.half')") == [None]

    def test_a_newer_schema_is_refused_by_name(self, empty_database: Secret) -> None:
        migrator.migrate(empty_database)
        catalogue(empty_database, "insert into ccm.migrations values ('29990101000000_later') returning name")
        for question in (migrator.migrate, migrator.read_schema):
            with pytest.raises(SchemaTooNew, match="29990101000000_later"):
                question(empty_database)

    def test_a_role_that_may_not_is_told(self, supabase: LocalSupabase, empty_database: Secret) -> None:
        with psycopg.connect(supabase.database_url, autocommit=True) as connection:
            connection.execute("alter role anon login")
            try:
                with pytest.raises(StoreRefused, match="role `postgres`"):
                    migrator.migrate(Secret(empty_database.reveal().replace("postgres@", "anon@")))
            finally:
                connection.execute("alter role anon nologin")

    def test_the_command_says_what_it_did_and_never_the_url(self, empty_database: Secret) -> None:
        def run(*arguments: str) -> str:
            command = [sys.executable, "-m", "ccm_orchestrator.cli", "db", *arguments]
            environment = {"CCM_SUPABASE_DATABASE_URL": empty_database.reveal(), "PATH": "/usr/bin:/bin"}
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
            assert empty_database.reveal() not in done.stdout + done.stderr
            return done.stdout

        assert run("status", "-q").split() == list(SHIPPED)
        assert run("sql", "--pending") == migrations.script(list(SHIPPED))
        assert "Applied 20261125000001_foundation." in run("migrate")
        assert run("migrate") == "The database is up to date.\n"
        assert run("sql", "--pending") == ""
        assert "pending" not in run("status")


class TestCatalogue:
    """What the whole schema keeps to, new tables and functions included."""

    def test_attack_24_every_function_that_is_served_runs_as_its_owner_with_a_fixed_path(self, service: Caller) -> None:
        loose = """
            select p.proname::text from pg_proc p where p.pronamespace = 'public'::regnamespace
                and not (p.prosecdef and 'search_path=""' = any (coalesce(p.proconfig, '{}')))
                and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')
                and p.proname not like 'probe%'
        """
        assert sql(service.stack, loose) == []

    def test_attack_24_nobody_but_machines_people_and_secret_keys_may_call_them(self, service: Caller) -> None:
        question = """
            select p.proname::text from pg_proc p
            where p.pronamespace in ('public'::regnamespace, 'ccm'::regnamespace) and p.proname not like 'probe%'
                and (has_function_privilege('anon', p.oid, 'execute') or exists (
                    select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a where a.grantee = 0))
        """
        assert sql(service.stack, question) == []

    def test_every_table_has_row_level_security(self, service: Caller) -> None:
        question = """
            select c.relname::text from pg_class c
            where c.relnamespace in ('public'::regnamespace, 'ccm'::regnamespace) and c.relkind in ('r', 'p')
                and not c.relrowsecurity and c.relname not like 'probe%'
        """
        assert sql(service.stack, question) == []

    def test_realtime_hears_of_tasks_and_of_nothing_else(self, service: Caller) -> None:
        question = "select tablename::text from pg_publication_tables where pubname = 'supabase_realtime'"
        assert sql(service.stack, question) == [("tasks",)]


class TestRowsByHand:
    @pytest.mark.parametrize(
        ("columns", "sentence"),
        [
            ({"status": "done"}, "status must be one that docs/architecture.md names"),
            ({"priority": 1001}, "priority must be a whole number from -1000 to 1000"),
            ({"max_attempts": 0}, "max_attempts must be a whole number from 1 to 20"),
            ({"time_limit_s": 0}, "time_limit_s must be a positive number of seconds"),
            ({"time_limit_s": "NaN"}, "time_limit_s must be a positive number of seconds"),
            ({"budget_usd": "Infinity"}, "budget_usd must be a positive number"),
            ({"task_id": "a b c"}, "task_id must be 4 to 64 letters, digits, _ or -"),
            ({"task_id": "ünïcode"}, "task_id must be 4 to 64 letters, digits, _ or -"),
            ({"task_id": "line\n"}, "task_id must be 4 to 64 letters, digits, _ or -"),
            ({"run_after": "infinity"}, "run_after must be a time before the year 9999"),
            ({"after": "{null}"}, "after must be a plain list of task ids"),
            ({"tags": "{{a},{b}}"}, "tags must be a plain list of texts"),
            ({"labels": ["two words"]}, "each of labels must be 1 to 63 letters, digits, ., _ or -"),
            ({"status": "held"}, "a held task, and no other, has one of the known hold_reasons"),
            ({"hold_reason": "mood"}, "a held task, and no other, has one of the known hold_reasons"),
        ],
    )
    def test_the_constraint_says_what_to_mend(self, service: Caller, columns: dict[str, object], sentence: str) -> None:
        answer = service.send("POST", "tasks", {"project": "demo", "prompt": "x"} | columns)
        assert answer.status_code == 400 and sentence in answer.text

    def test_a_second_unfinished_task_with_one_dedup_key_is_refused(self, service: Caller) -> None:
        row = {"project": "demo", "prompt": "x", "dedup_key": "issue-1"}
        assert service.send("POST", "tasks", row).status_code == 201
        answer = service.send("POST", "tasks", row)
        assert answer.status_code == 409 and "one unfinished task per dedup_key" in answer.text

    @pytest.mark.parametrize(
        ("columns", "sentence"),
        [
            ({"prompt": " \n\t\u00a0\u2003\x1f"}, str(problem_with(NewTask("demo", " ")))),
            ({"prompt": "x" * 4_000_001}, str(problem_with(NewTask("demo", "x" * 4_000_001)))),
            (
                {"project": "it's \"\n\\"},
                f"There is no project named {'it' + chr(39) + 's ' + chr(34) + chr(10) + chr(92)!r}: add",
            ),
            ({"project": " "}, "The project is empty"),
            ({"after": ["no-such"]}, "It waits for task 'no-such', which does not exist: mend its `after`."),
            ({"after": ["itself"]}, "It waits for itself, by way of the tasks in its `after`: take one of them out."),
        ],
        ids=["blank", "large", "project", "no project", "dependency", "itself"],
    )
    def test_what_cannot_be_carried_out_is_held_with_one_sentence_and_hurts_no_other(
        self, service: Caller, columns: dict[str, object], sentence: str
    ) -> None:
        rows = [{"task_id": "itself", "project": "demo", "prompt": "x", "priority": 9} | columns]
        rows.append({"task_id": "good", "project": "demo", "prompt": "x"})
        for row in rows:
            assert service.send("POST", "tasks", row).status_code == 201
        assert [task["task_id"] for task in service.claim()] == ["good"]
        held = service.rpc("get_task", p_task_id="itself")
        assert (held["status"], held["hold_reason"]) == ("held", "invalid")
        assert held["hold_detail"].startswith(sentence) and len(held["hold_detail"]) < 400
        assert service.rpc("unhold_task", p_task_id="itself")["status"] == "queued"

    @pytest.mark.parametrize("status", [TaskStatus.FAILED, TaskStatus.CANCELLED])
    def test_a_dependency_that_did_not_succeed_is_told_in_the_same_words(
        self, service: Caller, status: TaskStatus
    ) -> None:
        service.enqueue(task_id="first")
        service.enqueue(task_id="last", after=["first"])
        (first,) = service.claim()
        assert service.finish(first, FAILED | {"outcome": status.value}) == "recorded"
        assert service.claim() == []
        held = service.rpc("get_task", p_task_id="last")
        assert held["hold_detail"] == queueing.dependency_hold("first", status).detail
        assert held["hold_reason"] == "dependency"

    def test_circles_are_held_with_what_lies_between_them_and_others_go_on(self, service: Caller) -> None:
        waiting = {
            "one-": ["two-"], "two-": ["three"], "three": ["one-", "between"],
            "between": ["other-1"], "other-1": ["other-2"], "other-2": ["other-1"],
            "behind": ["one-"], "good": [], "after": ["good"],
        }  # fmt: skip
        for task_id, after in waiting.items():
            sql(service.stack, "insert into tasks (task_id, project, prompt, after) values (%s, 'demo', 'x', %s)",
                (task_id, after))  # fmt: skip
        assert [task["task_id"] for task in service.claim()] == ["good"]
        held = {task["task_id"] for task in service.rpc("list_tasks", p_statuses=["held"])}
        assert held == set(waiting) - {"behind", "good", "after"}

    @pytest.mark.parametrize("bad", [5, 1200])
    def test_bad_rows_neither_use_up_a_claim_nor_change_the_order(self, service: Caller, bad: int) -> None:
        service.enqueue(task_id="low-")
        sql(
            service.stack,
            "insert into tasks (project, prompt, priority, after) select 'demo', case when g % 2 = 0 then ' ' else 'x' "
            f"end, 10, case when g % 2 = 1 then '{{no-such}}'::text[] else '{{}}' end from generate_series(1, {bad}) g",
        )
        service.enqueue(task_id="high", priority=10)
        assert [task["task_id"] for task in service.claim(count=1)] == ["high"]
        assert [task["task_id"] for task in service.claim(count=1)] == ["low-"]
        assert service.rpc("task_counts")["held"] == bad

    def test_a_row_said_to_run_without_an_owner_is_found_and_queued(self, service: Caller) -> None:
        service.send("POST", "tasks", {"task_id": "mine", "project": "demo", "prompt": "x", "status": "running"})
        rescue = {"p_system_id": "here", "p_takeover_grace_s": 600}
        assert [task["status"] for task in service.rpc("rescue_tasks", **rescue)] == ["orphaned"]
        assert service.rpc("rescue_tasks", **rescue) == []
        for _ in range(11):
            service.stack.advance_clock(timedelta(seconds=60))
            service.renew()
        assert [task["status"] for task in service.rpc("rescue_tasks", **rescue)] == ["queued"]

    def test_a_row_deleted_while_it_runs_is_fenced_and_its_result_kept(self, service: Caller) -> None:
        service.enqueue(task_id="mine")
        (task,) = service.claim()
        assert service.send("DELETE", "tasks?task_id=eq.mine").status_code == 204
        assert service.renew(task) == {"mine": "fenced"}
        assert [service.finish(task) for _ in range(2)] == ["fenced", "fenced"]
        assert [late["fence"] for late in service.rpc("late_results", p_task_id="mine")] == [1]
        events = [{"event_key": "1", "task_id": "mine", "kind": "x"}]
        assert service.rpc("append_task_events", p_system_id="here", p_events=events) == {"stored": 1}


class TestRefusals:
    @pytest.mark.parametrize(
        "wish",
        [
            {"prompt": "\x1c "},
            {"project": " "},
            {"task_id": "a/b"},
            {"task_id": "self", "after": ("self",)},
            {"max_attempts": 21},
            {"priority": -1001},
            {"time_limit_s": -0.5},
            {"budget_usd": -1.5},
            {"labels": ("gpu", "two words", "it's")},
        ],
    )
    def test_the_sentences_are_those_of_the_domain(self, service: Caller, wish: dict[str, Any]) -> None:
        task = {"project": "demo", "prompt": "x"} | wish
        answer = service.call("enqueue_task", p_task=task)
        assert answer.json()["message"] == problem_with(NewTask(**task))

    @pytest.mark.parametrize(
        ("wish", "status", "error"),
        [
            ({"prompt": ""}, 422, "InvalidTask"),
            ({"priority": 2000}, 422, "InvalidTask"),
            ({"task_id": "self", "after": ["self"]}, 422, "InvalidTask"),
            ({"labels": ["gpu", "-"]}, 422, "InvalidTask"),
            ({"project": "nowhere"}, 422, "UnknownProject"),
            ({"after": ["no-such"]}, 422, "UnknownDependency"),
            ({"task_id": "goal", "after": ["waits"]}, 422, "DependencyCycle"),
        ],
    )
    def test_each_has_its_status_and_names_its_class(
        self, service: Caller, wish: dict[str, object], status: int, error: str
    ) -> None:
        sql(
            service.stack, "insert into tasks (task_id, project, prompt, after) values ('waits', 'demo', 'x', '{goal}')"
        )
        answer = service.call("enqueue_task", p_task={"project": "demo", "prompt": "x"} | wish)
        assert (answer.status_code, answer.json()["code"]) == (status, f"PT{status}")
        assert f'"error": "{error}"' in answer.json()["details"]

    def test_a_full_queue_is_too_many_requests(self, service: Caller) -> None:
        service.enqueue()
        answer = service.call("enqueue_task", p_task={"project": "demo", "prompt": "x"}, p_queue_limit=1)
        assert answer.status_code == 429 and '"queued": 1' in answer.json()["details"]


class TestRetention:
    def test_old_ended_tasks_go_with_all_that_is_theirs_and_those_still_waited_for_stay(self, service: Caller) -> None:
        for task_id in ("old-", "needed"):
            service.enqueue(task_id=task_id)
        for task in service.claim():
            service.finish(task)
        events = [{"event_key": task_id, "task_id": task_id, "kind": "x"} for task_id in ("old-", "gone")]
        service.rpc("append_task_events", p_system_id="here", p_events=events)
        service.rpc("record_metrics", p_system_id="here", p_metrics=[{"metric_key": "1"}])
        service.stack.advance_clock(timedelta(days=2))
        for task_id, after in (("waits", ["needed"]), ("recent", [])):
            service.enqueue(task_id=task_id, after=after)
        before = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        pruned = service.rpc("prune_history", p_before=before, p_batch=10)
        assert pruned == {"tasks": 1, "events": 1, "metrics": 1, "late_results": 0, "more": False}
        assert {task["task_id"] for task in service.rpc("list_tasks")} == {"needed", "waits", "recent"}
        assert sql(service.stack, "select (select count(*) from task_events), (select count(*) from ccm.outcomes)") == [
            (0, 1)
        ]

    def test_a_batch_is_no_larger_than_asked_for(self, service: Caller) -> None:
        sql(
            service.stack,
            "insert into tasks (project, prompt, status) select 'demo', 'x', 'failed' from generate_series(1, 5)",
        )
        answers = [service.rpc("prune_history", p_before="2999-01-01", p_batch=2) for _ in range(3)]
        assert [(answer["tasks"], answer["more"]) for answer in answers] == [(2, True), (2, True), (1, False)]
