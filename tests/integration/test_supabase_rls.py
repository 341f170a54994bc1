"""Who sees and changes what in the Supabase project, told from outside: plain HTTP and a token."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from ccm_orchestrator.devstack.stack import LocalSupabase
from tests.supabase_http import FAILED, LEASE_S, SUCCEEDED, Caller, sql

TABLES = (
    "systems",
    "projects",
    "tasks",
    "task_leases",
    "task_events",
    "system_metrics",
    "members",
    "api_keys?select=name",
    "silent_systems",
)
KEY = {"p_task_id": "nothing", "p_fence": 1}
LEASE = {"p_system_id": "here", "p_boot_id": "b", "p_lease_s": LEASE_S}
READING: dict[str, dict[str, object]] = {
    "get_task": {"p_task_id": "nothing"},
    "list_tasks": {},
    "task_counts": {},
    "late_results": {"p_task_id": "nothing"},
    "list_systems": {},
    "list_projects": {"p_system_id": "here"},
}
WISHING: dict[str, dict[str, object]] = {
    "enqueue_task": {"p_task": {"project": "demo", "prompt": "x"}},
    "cancel_task": {"p_task_id": "nothing"},
    "retry_task": {"p_task_id": "nothing"},
    "unhold_task": {"p_task_id": "nothing"},
}
WORKING: dict[str, dict[str, object]] = {
    "claim_tasks": {"p_request_id": "r", "p_count": 1, **LEASE},
    "renew_leases": {"p_keys": [], **LEASE},
    "begin_task": {"p_run_id": "r", **KEY},
    "mark_task": {"p_status": "waiting", **KEY},
    "finish_task": {"p_result": SUCCEEDED, **KEY},
    "release_task": {"p_release": {"kind": "voluntary", "detail": ""}, **KEY},
    "adopt_task": {**KEY, **LEASE},
    "rescue_tasks": {"p_system_id": "here", "p_takeover_grace_s": 600},
    "register_system": {"p_system": {"system_id": "here", "boot_id": "b"}},
    "drain_system": {"p_system_id": "here", "p_draining": True},
    "add_project": {"p_system_id": "here", "p_project": {"name": "x", "path": "/x"}},
    "remove_project": {"p_system_id": "here", "p_name": "demo"},
    "append_task_events": {"p_system_id": "here", "p_events": []},
    "record_metrics": {"p_system_id": "here", "p_metrics": []},
}
HOUSEKEEPING: dict[str, dict[str, object]] = {"prune_history": {"p_before": "2020-01-01"}}


@dataclass
class Everybody:
    stack: LocalSupabase
    anon: Caller
    stranger: Caller
    """Signed in to the project, and no member."""
    ann: Caller
    bob: Caller
    """Submitters."""
    admin: Caller
    here: Caller
    there: Caller
    """Systems."""
    service: Caller
    make: Callable[..., Caller]


@pytest.fixture
def everybody(supabase: LocalSupabase) -> Iterator[Everybody]:
    with ExitStack() as exits:

        def caller(token: str | None, user_id: str | None = None) -> Caller:
            made = Caller(supabase, token, user_id)
            exits.callback(made.close)
            return made

        def person(role: str | None) -> Caller:
            user_id = str(uuid.uuid4())
            if role is not None:
                sql(supabase, "insert into members (user_id, role) values (%s, %s)", (user_id, role))
            return caller(supabase.token(sub=user_id), user_id)

        def system(name: str) -> Caller:
            return caller(supabase.token(sub=f"machine {name}", system_id=name))

        service = caller(supabase.service_key)
        for name in ("here", "there"):
            service.register(name)
            service.has_project(name)
        yield Everybody(
            supabase,
            anon=caller(None),
            stranger=person(None),
            ann=person("submitter"),
            bob=person("submitter"),
            admin=person("admin"),
            here=system("here"),
            there=system("there"),
            service=service,
            make=caller,
        )


def refused(answer: httpx.Response, status: int, code: str = "42501") -> dict[str, Any]:
    assert (answer.status_code, answer.json().get("code")) == (status, code), answer.text
    return dict(answer.json())


def ids(rows: list[dict[str, Any]]) -> set[str]:
    return {row["task_id"] for row in rows}


class TestNobody:
    @pytest.mark.parametrize("table", TABLES)
    def test_without_a_token_no_table_is_open(self, everybody: Everybody, table: str) -> None:
        refused(everybody.anon.get(table), 401)
        refused(everybody.anon.send("POST", table.partition("?")[0], {}), 401)
        refused(everybody.anon.send("DELETE", table.partition("?")[0]), 401)

    @pytest.mark.parametrize("function", [*READING, *WISHING, *WORKING, *HOUSEKEEPING, "schema_state"])
    def test_without_a_token_no_function_is_open(self, everybody: Everybody, function: str) -> None:
        params = (READING | WISHING | WORKING | HOUSEKEEPING).get(function, {})
        refused(everybody.anon.call(function, **params), 401)

    def test_the_private_schema_is_not_served(self, everybody: Everybody) -> None:
        headers = {"Accept-Profile": "ccm"}
        answer = httpx.get(
            f"{everybody.stack.rest_url}/migrations",
            headers={"Authorization": f"Bearer {everybody.stack.service_key}", **headers},
            trust_env=False,
        )
        assert answer.status_code == 406


class TestStrangers:
    """Anybody may sign up to a project; that alone opens nothing."""

    @pytest.mark.parametrize("table", TABLES)
    def test_tables_are_empty_for_them(self, everybody: Everybody, table: str) -> None:
        everybody.service.enqueue()
        assert everybody.stranger.rows(table) == []

    @pytest.mark.parametrize("function", [*READING, *WISHING, *WORKING, *HOUSEKEEPING])
    def test_functions_are_closed_to_them(self, everybody: Everybody, function: str) -> None:
        refused(everybody.stranger.call(function, **(READING | WISHING | WORKING | HOUSEKEEPING)[function]), 403)

    def test_they_insert_nothing(self, everybody: Everybody) -> None:
        refused(everybody.stranger.send("POST", "tasks", {"project": "demo", "prompt": "x"}), 403)
        refused(everybody.stranger.send("POST", "members", {"user_id": everybody.stranger.user_id}), 403)

    def test_whoever_is_signed_in_may_ask_for_the_version_of_the_schema(self, everybody: Everybody) -> None:
        assert len(everybody.stranger.rpc("schema_state")["migrations"]) > 5

    def test_a_removed_member_is_a_stranger_again(self, everybody: Everybody) -> None:
        everybody.ann.enqueue()
        sql(everybody.stack, "delete from members")
        refused(everybody.ann.call("list_tasks"), 403)
        refused(everybody.ann.send("POST", "tasks", {"project": "demo", "prompt": "x"}), 403)


class TestSubmitters:
    def test_a_row_of_two_columns_is_a_task_in_their_name(self, everybody: Everybody) -> None:
        assert everybody.ann.send("POST", "tasks", {"project": "demo", "prompt": "Mend it"}).status_code == 201
        (row,) = everybody.ann.rows("tasks")
        assert (row["created_by"], row["source"], row["open"]) == (everybody.ann.user_id, "supabase", True)
        (claimed,) = everybody.here.claim()
        assert claimed["task_id"] == row["task_id"]

    @pytest.mark.parametrize(
        "column",
        ["status", "source", "created_by", "created_by_system", "fence", "open", "result", "created_at"],
    )
    def test_they_fill_in_wishes_only(self, everybody: Everybody, column: str) -> None:
        refused(everybody.ann.send("POST", "tasks", {"project": "demo", "prompt": "x", column: None}), 403)

    def test_they_see_their_own_tasks_only(self, everybody: Everybody) -> None:
        own, other = everybody.ann.enqueue(), everybody.bob.enqueue()
        everybody.service.enqueue()
        assert ids(everybody.ann.rows("tasks")) == {own["task_id"]}
        assert ids(everybody.ann.rpc("list_tasks")) == {own["task_id"]}
        assert everybody.ann.rpc("task_counts")["queued"] == 1
        for function in ("get_task", "cancel_task", "retry_task", "unhold_task", "late_results"):
            refused(everybody.ann.call(function, p_task_id=other["task_id"]), 404, "PT404")
        assert everybody.bob.rpc("get_task", p_task_id=other["task_id"])["status"] == "queued"

    def test_a_prefix_that_others_share_is_not_ambiguous_for_them(self, everybody: Everybody) -> None:
        everybody.ann.enqueue(task_id="same-1")
        everybody.bob.enqueue(task_id="same-2")
        assert everybody.ann.rpc("get_task", p_task_id="same")["task_id"] == "same-1"
        assert "More than one" in refused(everybody.admin.call("get_task", p_task_id="same"), 404, "PT404")["message"]

    @pytest.mark.parametrize("wish", [{"task_id": "taken"}, {"dedup_key": "issue-1"}])
    def test_a_repeated_wish_shows_nothing_of_somebody_elses_task(
        self, everybody: Everybody, wish: dict[str, object]
    ) -> None:
        everybody.bob.enqueue("a secret", task_id="taken", dedup_key="issue-1")
        answer = everybody.ann.call("enqueue_task", p_task={"project": "demo", "prompt": "x", **wish})
        assert "secret" not in answer.text and "taken" not in answer.text
        refused(answer, 409, "PT409")
        (row,) = everybody.bob.rows("tasks")
        assert row["task_id"] == "taken"

    def test_they_see_leases_and_events_of_their_own_tasks(self, everybody: Everybody) -> None:
        tasks = [everybody.ann.enqueue(), everybody.bob.enqueue()]
        everybody.here.claim()
        events = [{"event_key": task["task_id"], "task_id": task["task_id"], "kind": "x"} for task in tasks]
        assert everybody.here.rpc("append_task_events", p_system_id="here", p_events=events) == {"stored": 2}
        for table in ("task_leases", "task_events"):
            assert ids(everybody.ann.rows(table)) == {tasks[0]["task_id"]}
            assert ids(everybody.admin.rows(table)) == ids(tasks)

    @pytest.mark.parametrize("method", ["PATCH", "DELETE"])
    def test_tables_are_not_changed_by_hand(self, everybody: Everybody, method: str) -> None:
        task = everybody.ann.enqueue()
        for caller in (everybody.ann, everybody.admin, everybody.here):
            refused(caller.send(method, f"tasks?task_id=eq.{task['task_id']}", {"priority": 1}), 403)
            refused(caller.send(method, "systems?system_id=eq.here", {"draining": True}), 403)

    @pytest.mark.parametrize("function", [*WORKING, *HOUSEKEEPING])
    def test_what_systems_do_is_closed_to_people(self, everybody: Everybody, function: str) -> None:
        callers = [everybody.ann] if function == "drain_system" else [everybody.ann, everybody.admin]
        for caller in callers:
            refused(caller.call(function, **(WORKING | HOUSEKEEPING)[function]), 403)

    def test_they_see_all_systems_and_projects_and_cancel_their_own(self, everybody: Everybody) -> None:
        assert {row["system_id"] for row in everybody.ann.rows("systems")} == {"here", "there"}
        assert {row["system_id"] for row in everybody.ann.rpc("list_systems")} == {"here", "there"}
        assert len(everybody.ann.rpc("list_projects", p_system_id=None)) == 2
        task = everybody.ann.enqueue()
        assert everybody.ann.rpc("cancel_task", p_task_id=task["task_id"])["status"] == "cancelled"

    def test_members_and_keys_show_what_concerns_oneself(self, everybody: Everybody) -> None:
        sql(
            everybody.stack,
            "insert into api_keys (owner, name, prefix, hash) values (%s, 'ci', 'c', '\\x01'), (%s, 'x', 'x', '\\x02')",
            (everybody.ann.user_id, everybody.bob.user_id),
        )
        assert [row["user_id"] for row in everybody.ann.rows("members")] == [everybody.ann.user_id]
        assert len(everybody.admin.rows("members")) == 3
        assert [row["name"] for row in everybody.ann.rows("api_keys?select=name")] == ["ci"]
        refused(everybody.ann.get("api_keys?select=hash"), 403)


class TestAdmins:
    def test_they_see_and_change_all_tasks_and_drain_systems(self, everybody: Everybody) -> None:
        everybody.ann.enqueue()
        task = everybody.service.enqueue(system_id="here")
        assert len(everybody.admin.rows("tasks")) == len(everybody.admin.rpc("list_tasks")) == 2
        assert everybody.admin.rpc("cancel_task", p_task_id=task["task_id"])["status"] == "cancelled"
        assert everybody.admin.rpc("drain_system", p_system_id="here", p_draining=True)["draining"] is True
        assert everybody.here.claim() == []
        refused(everybody.admin.call("drain_system", p_system_id="nowhere", p_draining=True), 404, "PT404")


class TestSystems:
    def test_a_system_sees_its_own_and_open_tasks(self, everybody: Everybody) -> None:
        service, here = everybody.service, everybody.here
        own, unbound = service.enqueue(system_id="here"), service.enqueue()
        sent = here.enqueue(system_id="there")
        hidden = service.enqueue(system_id="there")
        assert ids(here.rows("tasks")) == ids(here.rpc("list_tasks")) == ids([own, unbound, sent])
        refused(here.call("get_task", p_task_id=hidden["task_id"]), 404, "PT404")
        refused(here.call("cancel_task", p_task_id=hidden["task_id"]), 404, "PT404")
        assert here.rpc("cancel_task", p_task_id=sent["task_id"])["status"] == "cancelled"

    def test_the_policy_on_tasks_looks_at_no_other_table(self, everybody: Everybody) -> None:
        ((condition,),) = sql(
            everybody.stack, "select qual from pg_policies where tablename = 'tasks' and cmd = 'SELECT'"
        )
        assert "from public" not in condition.lower() and "join" not in condition.lower()
        assert condition.count("SELECT ccm.") == 5

    @pytest.mark.parametrize("function", [name for name, params in WORKING.items() if "p_system_id" in params])
    def test_a_system_speaks_for_itself_only(self, everybody: Everybody, function: str) -> None:
        assert "'here'" in refused(everybody.there.call(function, **WORKING[function]), 403)["message"]

    def test_it_registers_itself_only(self, everybody: Everybody) -> None:
        assert everybody.here.register(labels=["gpu"])["labels"] == ["gpu"]
        refused(everybody.there.call("register_system", p_system={"system_id": "here", "boot_id": "x"}), 403)

    def test_only_the_holder_of_a_lease_writes_even_with_the_right_fence(self, everybody: Everybody) -> None:
        everybody.service.enqueue()
        (task,) = everybody.here.claim()
        key = {"p_task_id": task["task_id"], "p_fence": task["fence"]}
        for function in ("begin_task", "mark_task", "finish_task", "release_task"):
            refused(everybody.there.call(function, **WORKING[function] | key), 403)
        assert everybody.there.renew(task, system="there") == {task["task_id"]: "fenced"}
        adopted = everybody.there.rpc("adopt_task", **WORKING["adopt_task"] | key | {"p_system_id": "there"})
        assert adopted == {"answer": "fenced"}
        refused(everybody.there.call("cancel_task", p_task_id=task["task_id"]), 403)
        assert everybody.here.rpc("get_task", p_task_id=task["task_id"])["lease_system_id"] == "here"
        assert everybody.here.finish(task) == "recorded"

    def test_a_claim_is_repeated_by_who_made_it(self, everybody: Everybody) -> None:
        everybody.service.enqueue()
        (task,) = everybody.here.claim(request="r1")
        assert everybody.there.claim("there", request="r1") == []
        assert everybody.here.claim(request="r1")[0]["fence"] == task["fence"]

    def test_late_results_of_tasks_that_it_may_not_see_are_dropped(self, everybody: Everybody) -> None:
        everybody.service.enqueue(system_id="here")
        (task,) = everybody.here.claim()
        everybody.here.finish(task, FAILED)
        assert everybody.there.finish(task | {"fence": 7}) == "fenced"
        assert everybody.here.finish(task | {"fence": 8}) == "fenced"
        assert [late["fence"] for late in everybody.here.rpc("late_results", p_task_id=task["task_id"])] == [8]

    def test_it_sees_other_systems_and_not_their_projects_nor_figures(self, everybody: Everybody) -> None:
        metrics = [{"metric_key": "1", "data": {"cpu": 1}}]
        assert everybody.there.rpc("record_metrics", p_system_id="there", p_metrics=metrics) == {"stored": 1}
        assert everybody.there.rpc("record_metrics", p_system_id="there", p_metrics=metrics) == {"stored": 0}
        assert {row["system_id"] for row in everybody.here.rows("systems")} == {"here", "there"}
        assert [row["system_id"] for row in everybody.here.rows("projects")] == ["here"]
        assert everybody.here.rows("system_metrics") == []
        refused(everybody.here.call("list_projects", p_system_id="there"), 403)
        refused(everybody.here.call("list_projects", p_system_id=None), 422, "PT422")

    def test_a_machine_is_no_person(self, everybody: Everybody) -> None:
        refused(everybody.here.send("POST", "tasks", {"project": "demo", "prompt": "x"}), 403)

    @pytest.mark.parametrize("claims", [{}, {"system_id": ""}, {"sub": ""}, {"app_metadata": {"system_id": "here"}}])
    def test_a_token_that_names_nobody_opens_nothing(self, everybody: Everybody, claims: dict[str, Any]) -> None:
        nobody = everybody.make(everybody.stack.token(**claims))
        refused(nobody.call("list_tasks"), 403)
        refused(nobody.call("claim_tasks", **WORKING["claim_tasks"]), 403)
        assert nobody.rows("tasks") == []


class TestSecretKeys:
    def test_they_speak_for_every_system(self, everybody: Everybody) -> None:
        everybody.service.enqueue(system_id="there")
        secret = everybody.make(everybody.stack.secret_key)
        (task,) = secret.claim("there")
        assert secret.finish(task) == "recorded"

    def test_they_insert_change_and_delete_rows(self, everybody: Everybody) -> None:
        body = {"task_id": "mine", "project": "demo", "prompt": "x"}
        assert everybody.service.send("POST", "tasks", body).status_code == 201
        assert everybody.service.send("PATCH", "tasks?task_id=eq.mine", {"priority": 9}).status_code == 204
        assert everybody.service.claim()[0]["priority"] == 9
        assert everybody.service.send("DELETE", "tasks?task_id=eq.mine").status_code == 204
        user = {"user_id": str(uuid.uuid4()), "role": "admin"}
        assert everybody.service.send("POST", "members", user).status_code == 201
        assert everybody.service.send("POST", "members", user | {"role": "king"}).status_code == 400

    def test_they_prune(self, everybody: Everybody) -> None:
        assert everybody.service.rpc("prune_history", p_before="2020-01-01")["tasks"] == 0
