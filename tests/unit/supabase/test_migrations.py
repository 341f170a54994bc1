"""The shipped migrations as texts: their names, what each must hold, and the commands that print them."""

import json
import re

import psycopg
import pytest
from typer.testing import CliRunner

from ccm_orchestrator.adapters.supabase import migrations, migrator
from ccm_orchestrator.cli.app import app
from ccm_orchestrator.cli.exits import Exit
from ccm_orchestrator.errors import InvalidSettings, NotFound, SchemaTooNew, StoreUnavailable
from ccm_orchestrator.security.secrets import Secret

SHIPPED = migrations.shipped_migrations()
LONGEST_IDENTIFIER = 63
"""Bytes; Postgres cuts off the rest."""


class TestTexts:
    def test_the_names_are_those_that_the_supabase_cli_reads(self) -> None:
        assert len(SHIPPED) > 5
        assert all(re.fullmatch(r"\d{14}_[a-z_]+", name) for name in SHIPPED)
        assert list(SHIPPED) == sorted(SHIPPED)

    @pytest.mark.parametrize("name", SHIPPED)
    def test_each_writes_down_its_own_name_and_may_be_run_again(self, name: str) -> None:
        script = SHIPPED[name]
        assert script.rstrip().endswith(f"insert into ccm.migrations (name) values ('{name}') on conflict do nothing;")
        assert not re.search(r"create (table|index|unique index|schema) (?!if not exists)", script)
        assert not re.search(r"create (function|view|trigger)", script)

    @pytest.mark.parametrize("name", SHIPPED)
    def test_no_transaction_and_nothing_of_psql_is_in_it(self, name: str) -> None:
        code = re.sub("--.*", "", SHIPPED[name])
        assert not re.search(r"^\s*(begin|commit|rollback);|^\\|concurrently|40001", code, re.MULTILINE)

    @pytest.mark.parametrize("name", SHIPPED)
    def test_postgres_cuts_no_name_off(self, name: str) -> None:
        code = re.sub(r"--.*|'(?:[^']|'')*'|\$\$.*?\$\$", "", SHIPPED[name], flags=re.DOTALL)
        code = re.sub(r"--.*", "", code)
        assert [found for found in re.findall(r'"([^"\n]+)"', code) if len(found.encode()) > LONGEST_IDENTIFIER] == []


class TestPending:
    def test_those_that_were_not_applied_in_order(self) -> None:
        names = list(SHIPPED)
        assert migrations.pending(names) == []
        assert migrations.pending([]) == names
        assert migrations.pending([names[0], names[2]]) == [names[1], *names[3:]]

    def test_a_schema_of_a_newer_version_is_refused_by_name(self) -> None:
        with pytest.raises(SchemaTooNew, match="29990101000000_later") as caught:
            migrations.pending([*SHIPPED, "29990101000000_later"])
        assert caught.value.migration == "29990101000000_later"  # type: ignore[attr-defined]


class TestScripts:
    def test_a_script_names_its_parts_and_wakes_postgrest(self) -> None:
        first, second, *_ = SHIPPED
        script = migrations.script([first, second])
        assert script.index(f"-- {first}.sql") < script.index(SHIPPED[first].rstrip()) < script.index(f"-- {second}")
        assert script.endswith("notify pgrst, 'reload schema';\n")
        assert migrations.script([]) == ""

    def test_an_unknown_name_is_refused(self) -> None:
        with pytest.raises(NotFound, match="'nonsense'"):
            migrations.script(["nonsense"])


class TestCommands:
    def test_everything_is_printed_without_a_database(self) -> None:
        done = CliRunner().invoke(app, ["db", "sql"], env={"CCM_SUPABASE_DATABASE_URL": ""})
        assert (done.exit_code, done.stdout) == (Exit.OK, migrations.script(list(SHIPPED)))

    def test_named_ones_are_printed(self) -> None:
        name = next(iter(SHIPPED))
        done = CliRunner().invoke(app, ["db", "sql", name, "--json"])
        assert json.loads(done.stdout) == {"names": [name], "sql": migrations.script([name])}

    @pytest.mark.parametrize("arguments", [["migrate"], ["status"], ["sql", "--pending"]])
    def test_without_a_connection_string_the_variable_is_named(self, arguments: list[str]) -> None:
        done = CliRunner().invoke(app, ["db", *arguments], env={"CCM_SUPABASE_DATABASE_URL": ""})
        assert done.exit_code == Exit.BAD_INPUT
        assert "CCM_SUPABASE_DATABASE_URL" in done.stderr


class TestSecrecy:
    @pytest.mark.parametrize(
        "url",
        [
            "pa55word",
            "postgresql://postgres:pa55word@[::1/postgres",
            "postgresql://postgres:x@pa55word@127.0.0.1/postgres",
            "postgresql://postgres:pa55word@127.0.0.1/postgres?nonsense=1",
        ],
    )
    def test_a_url_that_cannot_be_read_is_not_shown(self, url: str) -> None:
        with pytest.raises(InvalidSettings, match="cannot be read") as caught:
            migrator.read_schema(Secret(url))
        assert "pa55word" not in caught.value.message
        assert "postgresql://postgres:PASSWORD@HOST" in caught.value.message

    def test_a_database_that_does_not_answer_is_named_and_the_password_is_not(self) -> None:
        with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1") as caught:
            migrator.migrate(Secret("postgresql://postgres:pa55word@127.0.0.1:1/postgres"))
        assert "pa55word" not in caught.value.message

    def test_what_the_driver_says_is_shown_without_the_password(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(url: str, **_: object) -> None:
            raise psycopg.OperationalError(f"bad pa55word in {url}\nand more")

        monkeypatch.setattr(psycopg, "connect", refuse)
        with pytest.raises(StoreUnavailable) as caught:
            migrator.migrate(Secret("postgresql://postgres:pa55word@127.0.0.1:1/postgres"))
        assert "pa55word" not in caught.value.message and "and more" not in caught.value.message
        assert caught.value.__cause__ is None
