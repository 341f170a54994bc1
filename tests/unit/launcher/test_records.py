"""The launcher's own JSON agrees with the standard library's."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccm_orchestrator.launcher.records import Record, Unreadable, dump, parse_object

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)
objects = st.dictionaries(st.text(), values, max_size=5)


@given(objects)
def test_what_is_written_is_json(value: dict[str, object]) -> None:
    assert json.loads(dump(value)) == value


@given(objects)
def test_json_is_read(value: dict[str, object]) -> None:
    assert parse_object(json.dumps(value, indent=1)) == value


@pytest.mark.parametrize("text", ["", " ", "{", "null", "[1]", "{} x", '{"a": 1,}', '{"a" 1}', "{" * 99_999])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        parse_object(text)


def test_only_json_values_are_written() -> None:
    with pytest.raises(TypeError, match="Path"):
        dump({"path": Path("/")})


def test_a_record_that_could_not_be_written_is_written_later(tmp_path: Path) -> None:
    record = Record(str(tmp_path / "later"), "exit.json", durable=True)
    assert not record.write({"exit_code": 3})
    assert record.pending
    (tmp_path / "later").mkdir()
    assert record.retry()
    assert not record.pending
    assert json.loads((tmp_path / "later" / "exit.json").read_text()) == {"exit_code": 3}
    assert [path.name for path in (tmp_path / "later").iterdir()] == ["exit.json"]
