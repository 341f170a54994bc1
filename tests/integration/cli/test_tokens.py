"""`token …`, with no daemon and with one that believes what it was told before it ran."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from ccm_orchestrator.cli.exits import Exit
from tests.command_line import CalledHere, CommandLine, command_line


@pytest.fixture
def ccm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    with command_line(tmp_path_factory.mktemp("cli"), CalledHere) as ccm:
        yield ccm


def status(ccm: CommandLine, key: str) -> int:
    url = f"http://127.0.0.1:{ccm.port}/api/tasks"
    return httpx.get(url, headers={"X-API-Key": key}, trust_env=False, timeout=30).status_code


def test_a_key_is_made_used_replaced_and_ended(ccm: CommandLine) -> None:
    made = ccm("token", "create", "build server", "--scope", "read", "-s", "submit", "--expires", "90d", "--json").json
    assert made["scopes"] == ["read", "submit"] and made["expires_at"] is not None
    assert ccm("token", "list", "-q").out.split() == [made["prefix"]]
    assert made["key"] not in ccm("token", "list", "--json").out
    with ccm.daemon():
        assert status(ccm, made["key"]) == 200
        key = ccm("token", "rotate", "build server", "--overlap", "0", "-q").out.strip()
        assert [status(ccm, made["key"]), status(ccm, key)] == [401, 200]
        shown = ccm("token", "list", "--all").out
        assert made["prefix"] in shown and "expired" in shown and key not in shown
        assert ccm("token", "revoke", key[:12]).code == Exit.OK
        assert status(ccm, key) == 401
        assert ccm("token", "list", "-q").out == ""
    assert not any(
        secret in file.read_bytes()
        for file in ccm.state.rglob("*")
        if file.is_file()
        for secret in (made["key"].encode(), key.encode())
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("create", "x", "-s", "read", "--expires", "soon"), "Expected a period such as"),
        (("create", "x", "-s", "read", "--expires", "0d"), "Expected a period such as"),
        (("create", "x", "-s", "read", "--expires", "999999w"), "Expected a period such as"),
        (("create", "x", "-s", "admin", "--owner", "anna"), "cannot have the scope `admin`"),
        (("create", "", "-s", "read"), "name of a key"),
        (("create", "x"), "Missing option '--scope'"),
        (("revoke", "nobody"), "There is no API key 'nobody'"),
        (("rotate", "nobody"), "There is no API key 'nobody'"),
        (("rotate", "nobody", "--overlap", "900d"), "overlap_s"),
    ],
)
def test_bad_input_gets_one_sentence(ccm: CommandLine, words: tuple[str, ...], sentence: str) -> None:
    said = ccm("token", *words)
    assert said.code == Exit.BAD_INPUT and sentence in said.err
