"""Forms of MCP servers: what people write becomes typed values, or is refused in a sentence."""

from __future__ import annotations

import pytest

from ccm_orchestrator.domain.forms import content
from ccm_orchestrator.errors import InputError

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "age": {"type": "integer"},
        "share": {"type": "number"},
        "sure": {"type": "boolean"},
        "colour": {"type": "string", "enum": ["red", "blue"]},
        "odd": 7,
    },
    "required": ["name"],
}


def test_values_have_the_types_of_their_fields() -> None:
    given = {"name": "Ada", "age": "36", "share": "0.5", "sure": "Yes", "colour": "red", "odd": "x"}
    assert content(SCHEMA, given) == {
        "name": "Ada",
        "age": 36,
        "share": 0.5,
        "sure": True,
        "colour": "red",
        "odd": "x",
    }
    assert content(None, {}) == {} and content({"properties": []}, {}) == {}
    assert content({"properties": {"age": 7}, "required": 5}, {}) == {}, "a stranger wrote the schema"


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({}, "'name' is missing"),
        ({"name": "x", "nick": "y"}, "no field 'nick'"),
        ({"name": "x", "age": "many"}, "'age' to be of the type integer"),
        ({"name": "x", "share": "nan"}, "'share' to be of the type number"),
        ({"name": "x", "sure": "perhaps"}, "'sure' to be of the type boolean"),
        ({"name": "x", "colour": "green"}, "one of 'red', 'blue'"),
    ],
)
def test_what_does_not_fit_is_refused(answers: dict[str, str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        content(SCHEMA, answers)
