"""Texts from elsewhere are shown, never obeyed: not by a browser, not by a terminal, not by a log's reader."""

from __future__ import annotations

import json
import logging
import sys

import httpx
import pytest

from ccm_orchestrator.api.guards import GuardedRoute
from ccm_orchestrator.telemetry.lines import formatter
from ccm_orchestrator.telemetry.masking import Masker
from tests.api_house import RUN_A, House

MARKUP = "<script>alert(1)</script> <img src=x onerror=alert(1)> [x](javascript:alert(1)) \x1b]8;;http://evil\x07"
FORGED = "gone\n2026-11-25 12:00:00,000 ERROR   forged\r\x1b[2Kforged\u2028forged \ud800"


@pytest.fixture
async def house() -> House:
    house = House()
    await house.prepare()
    return house


async def test_attack_38_markup_in_texts_is_data_wherever_it_is_shown(house: House) -> None:
    run = await house.agent()
    async with house.client() as api:
        made = (await api.post("/api/tasks", json={"project": "blog", "prompt": MARKUP, "tags": ["<b>"]})).json()
        assert made["prompt"] == MARKUP, "and it is kept as it is"
        await api.post(f"/api/agents/{RUN_A}/messages", json={"text": MARKUP})
        seen = 0
        for route in house.app.routes:
            if not isinstance(route, GuardedRoute) or route.methods != {"GET"} or "stream" in route.name:
                continue
            path = route.path.replace("{task_id}", made["task_id"]).replace("{agent}", run.name)
            answer = await shown(api, path)
            seen += "<script>" in answer.text
    assert seen >= 2, "the text was shown nowhere"


async def shown(api: httpx.AsyncClient, path: str) -> httpx.Response:
    """The answer, which no browser takes for a page."""
    answer = await api.get(path, headers={"Accept": "text/html"})
    kind = answer.headers["content-type"].partition(";")[0]
    assert kind == "text/plain" if path == "/metrics" else kind in ("application/json", "application/problem+json"), (
        path
    )
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    return answer


def record(text: str, with_exception: bool = False) -> logging.LogRecord:
    info = None
    if with_exception:
        try:
            raise ValueError(text)
        except ValueError:
            info = sys.exc_info()
    return logging.LogRecord("ccm", logging.WARNING, "x.py", 1, "task %s", (text,), info)


@pytest.mark.parametrize("with_exception", [False, True])
def test_attack_39_a_text_forges_no_line_of_the_log(with_exception: bool) -> None:
    first, *more = formatter("text", Masker()).format(record(FORGED, with_exception)).splitlines()
    assert first.endswith("forged \\ud800") and "\x1b" not in first
    assert bool(more) is with_exception and all(line.startswith("  | ") for line in more)


@pytest.mark.parametrize("with_exception", [False, True])
def test_attack_39_a_text_forges_no_record_of_the_log(with_exception: bool) -> None:
    line = formatter("json", Masker()).format(record(FORGED, with_exception))
    assert "\n" not in line and "\r" not in line and "\x1b" not in line
    assert line.encode(), "half a character keeps no record from being written"
    assert json.loads(line)["level"] == "warning" and "forged" in json.loads(line)["message"]
