"""The examples of docs/supabase.md do what they say, on a real project."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import uuid

import psycopg
import pytest

from ccm_orchestrator.devstack.stack import LocalSupabase
from tests.docs.source import CHECKOUT

PAGE = (CHECKOUT / "docs" / "supabase.md").read_text()
MEMBER = "6f1c3a52-7a8e-4a53-9d5e-0a4b8c1d2e3f"


def examples(language: str) -> list[str]:
    """Without the indentation of those that stand in a list."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", PAGE, re.M | re.S)
    return [re.sub(rf"^{indent}", "", body, flags=re.M) for indent, body in found]


@pytest.fixture
def project(supabase: LocalSupabase) -> LocalSupabase:
    """A machine has the project `shop`, and the page's member was let in."""
    with psycopg.connect(supabase.owner_url, autocommit=True) as connection:
        connection.execute("insert into systems (system_id) values ('office-1')")
        connection.execute("insert into projects (system_id, name) values ('office-1', 'shop')")
        for statement in examples("sql")[0], "insert into members (user_id, role) values (%s, 'admin')":
            connection.execute(statement.encode(), (uuid.uuid4(),) if "%s" in statement else None)
    return supabase


def environment(stack: LocalSupabase) -> dict[str, str]:
    token = stack.token("authenticated", sub=MEMBER)
    return {**os.environ, "SUPABASE_URL": stack.url, "SUPABASE_KEY": stack.publishable_key, "TOKEN": token}


def prompts(stack: LocalSupabase) -> list[tuple[object, ...]]:
    with psycopg.connect(stack.owner_url) as connection:
        return connection.execute("select prompt, priority, created_by::text, dedup_key from tasks").fetchall()


def test_every_statement_runs(project: LocalSupabase) -> None:
    with psycopg.connect(project.owner_url, autocommit=True) as connection:
        for block in examples("sql")[1:]:
            connection.execute(block.encode())
    assert prompts(project) == [("Fix the failing test", 0, None, None)]


def test_curl_hands_in_a_task_of_its_member(project: LocalSupabase) -> None:
    (script,) = [each for each in examples("sh") if each.startswith("curl")]
    subprocess.run(["sh", "-euc", script], env=environment(project), check=True, timeout=30)
    assert prompts(project) == [("Fix the failing test", 5, MEMBER, None)]


def test_python_gets_the_task_and_an_older_one_the_second_time(project: LocalSupabase) -> None:
    (script,) = examples("python")

    def run() -> list[str]:
        command = [sys.executable, "-c", script]
        return subprocess.run(
            command, env=environment(project), check=True, timeout=30, capture_output=True, text=True
        ).stdout.split()

    first, second = run(), run()
    assert (first[1], second) == ("True", [first[0], "False"])
    assert prompts(project) == [("Fix the failing test", 0, MEMBER, "issue-17")]


def test_javascript_names_functions_and_columns_that_exist(project: LocalSupabase) -> None:
    """`supabase-js` itself is not run; what it sends are the requests of the other examples."""
    (script,) = examples("js")
    (inserted,) = re.findall(r"insert\((\{.*?\})\)", script)
    columns = set(json.loads(re.sub(r"(\w+):", r'"\1":', inserted)))
    with psycopg.connect(project.owner_url) as connection:
        known = {name for (name,) in connection.execute(COLUMNS)}
    assert columns <= known
    assert re.findall(r'rpc\("(\w+)"', script) == ["enqueue_task"]


COLUMNS = "select column_name from information_schema.columns where table_name = 'tasks'"
