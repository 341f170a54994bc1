"""Whatever a client sends over a WebSocket is answered in words, and the connection goes on."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api_house import House, served
from tests.live_client import AGENT, live

TYPES = ("user_message", "answer", "interrupt", "input", "no_such", "")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
NAMES = ("id", "content", "model", "decision", "request_id", "answers", "scope", "rule", "text", "keys", "timestamp")
MESSAGES: st.SearchStrategy[Mapping[str, Any]] = st.fixed_dictionaries(
    {"type": st.sampled_from(TYPES)}, optional={name: VALUES for name in NAMES}
)
FRAMES = (
    st.binary(max_size=60)
    | st.text(max_size=60)
    | VALUES.map(json.dumps)
    | MESSAGES.map(json.dumps)
    | MESSAGES.map(lambda message: json.dumps(message).encode("utf-16"))
    | st.just("[" * 20_000)
    | st.just('{"type": "interrupt", "id": ' + "9" * 5_000 + "}")
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(frames=st.lists(FRAMES, min_size=1, max_size=8))
async def test_malformed_frames_end_no_connection_and_leave_no_trace(
    caplog: pytest.LogCaptureFixture, frames: list[str | bytes]
) -> None:
    caplog.clear()
    house = House()
    await house.prepare()
    await house.agent()
    async with served(house) as server, live(server, f"/ws/{AGENT}") as client:
        for frame in frames:
            await client.connection.send(frame)
        answers = [await client.next() for _ in range(len(frames) + 1)]
        while "reply_to" not in (last := await client.say(type="interrupt", id="at last"))["data"]:
            pass
    problems = [answer["data"]["problem"]["status"] for answer in answers if "problem" in answer["data"]]
    assert all(400 <= status < 500 for status in problems), answers
    assert last["data"]["reply_to"] == "at last", "it is still listened to"
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
