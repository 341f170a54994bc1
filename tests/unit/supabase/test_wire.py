"""What Postgres and JSON cannot hold travels all the same."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccm_orchestrator.adapters.supabase.wire import inbound, is_marked, outbound
from ccm_orchestrator.domain.result import CommandRun, Outcome, Summary, TaskResult

TEXTS = st.text(alphabet=st.one_of(st.sampled_from("\0\ufdd0␀a"), st.characters(exclude_categories=["Cs"])))


@given(TEXTS)
def test_every_text_comes_back_and_travels_without_nul(text: str) -> None:
    travelling = outbound(text)
    assert "\0" not in travelling
    assert inbound(travelling) == text


@given(TEXTS, st.booleans())
def test_a_reply_that_is_taken_as_it_is_holds_no_mark(text: str, escaped: bool) -> None:
    travelling = [{"prompt": outbound(text)}]
    body = json.dumps(travelling, ensure_ascii=escaped).encode()
    assert is_marked(body) or inbound(travelling) == travelling


def test_a_plain_reply_is_not_walked_through() -> None:
    assert not is_marked('{"prompt": "Grüße, ␀\\n"}'.encode())


def test_a_nul_is_visible_to_people_who_look_at_the_row() -> None:
    assert "␀" in outbound("a\0b")


def test_half_a_character_becomes_a_question_mark() -> None:
    assert outbound({"half \ud83d": ["\udcff"]}) == {"half ?": ["?"]}


def test_documents_of_any_depth_are_json() -> None:
    result = TaskResult(
        Outcome.FAILED, "a\0", summary=Summary(commands=(CommandRun("x\0", None),), tool_counts={"\0": 1})
    )
    travelling = outbound(asdict(result))
    assert json.loads(json.dumps(travelling, allow_nan=False)) == travelling
    assert inbound(travelling)["summary"]["tool_counts"] == {"\0": 1}
    assert travelling["outcome"] == "failed"


def test_times_paths_sets_and_bytes_have_a_form() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    assert outbound([moment, Path("/a"), frozenset("ba"), b"a\0\xff"]) == [
        "2026-01-02T03:04:05.000006+00:00",
        "/a",
        ["a", "b"],
        "a\ufdd0␀\ufffd",
    ]


def test_an_infinite_limit_is_none() -> None:
    assert outbound({"time_limit_s": float("inf"), "x": 1.5}) == {"time_limit_s": None, "x": 1.5}


def test_what_has_no_form_is_a_mistake_of_ours() -> None:
    with pytest.raises(TypeError, match="object"):
        outbound([object()])
