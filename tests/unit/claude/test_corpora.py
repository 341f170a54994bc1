"""Recorded screens and payloads of every supported release are read as they were meant."""

import json

import pytest

from tests.hook_payload_corpus import Payload, payloads, told
from tests.screen_accuracy import Case, corpus, said


@pytest.mark.parametrize("case", corpus(), ids=lambda case: case.name)
def test_a_recorded_screen_is_read_right(case: Case) -> None:
    assert said(case.screen) == case.expected


@pytest.mark.parametrize("case", corpus(), ids=lambda case: case.name)
def test_text_on_a_screen_never_ends_a_task(case: Case) -> None:
    assert said(case.screen)[0] not in ("turn_ended", "marker_done", "marker_error", "exited")


@pytest.mark.parametrize("payload", payloads(), ids=lambda payload: payload.name)
def test_a_recorded_payload_is_read_as_expected(payload: Payload) -> None:
    assert told(payload.hook_event_name, payload.raw) == payload.expected


def test_both_corpora_cover_both_ends_of_the_supported_range() -> None:
    for versions in ({case.version for case in corpus()}, {case.name.split(".", 2)[2][-7:] for case in payloads()}):
        assert {"2.1.197", "2.1.329"} <= versions


def test_every_event_of_a_subagent_is_told_as_one() -> None:
    inner = [payload for payload in payloads() if json.loads(payload.raw).get("agent_id")]
    read = [payload.expected for payload in inner if "evidence" in payload.expected]
    assert read
    assert all(evidence["subagent"] for expected in read for evidence in expected["evidence"])
