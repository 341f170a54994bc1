"""`config set` changes one value and nothing else."""

import tomllib

import pytest

from ccm_orchestrator.settings.editing import parse_value, with_value

WRITTEN = """# my machine
max_agents = 3   # a small one

[api]  # loopback
port = 9000
# host = "::1"

[profiles.executor]
system_prompt = "say # never"  # why
"""


@pytest.mark.parametrize(
    ("key", "value", "before", "after"),
    [
        ("max_agents", 5, "max_agents = 3   # a small one", "max_agents = 5   # a small one"),
        ("api.port", 1, "port = 9000", "port = 1"),
        ("api.host", "::1", "", 'host = "::1"\n'),
        ("queue_limit", 7, "", "queue_limit = 7\n"),
        ("profiles.executor.system_prompt", 'a "b"', '"say # never"  # why', '"a \\"b\\""  # why'),
        ("log.level", "debug", "", '[log]\nlevel = "debug"\n'),
        ("profiles.new.allowed_tools", ["a", "b"], "", '[profiles.new]\nallowed_tools = ["a", "b"]\n'),
    ],
)
def test_one_value_changes(key: str, value: object, before: str, after: str) -> None:
    changed = with_value(WRITTEN, key.split("."), value)
    assert after in changed
    removed = [line for line in WRITTEN.splitlines() if line not in changed.splitlines()]
    assert all(before and before in line for line in removed)
    here = tomllib.loads(changed)
    for part in key.split("."):
        here = here[part]
    assert here == value


def test_an_empty_document() -> None:
    assert with_value("", ["api", "port"], 1) == "[api]\nport = 1\n"


@pytest.mark.parametrize(
    "document", ["api = { port = 1 }", "api.port = 1", '[profiles.executor]\nsystem_prompt = """\na\nb"""']
)
def test_what_only_a_person_can_change_is_refused(document: str) -> None:
    key = ["profiles", "executor", "system_prompt"] if "profiles" in document else ["api", "port"]
    with pytest.raises(ValueError):
        with_value(document, key, "x")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("1.5", 1.5),
        ("true", True),
        ('["a"]', ["a"]),
        ('"5"', "5"),
        ("opus", "opus"),
        ("127.0.0.1", "127.0.0.1"),
    ],
)
def test_values_are_read_as_in_the_file(text: str, value: object) -> None:
    assert parse_value(text) == value
