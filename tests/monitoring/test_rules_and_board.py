"""What is shipped for Prometheus and Grafana speaks of metrics that exist, in words that Prometheus understands."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ccm_orchestrator.fakes.clock import FakeClock
from ccm_orchestrator.fakes.memory_figures import MemoryFigures
from ccm_orchestrator.fakes.memory_journal import MemoryJournal
from ccm_orchestrator.fakes.memory_tasks import MemoryTaskStore
from ccm_orchestrator.telemetry.metrics import Around, Metrics
from tests.docs.source import CHECKOUT

RULES = CHECKOUT / "monitoring" / "prometheus"
BOARD = CHECKOUT / "monitoring" / "grafana" / "ccm-orchestrator.json"
SUFFIXES = ("_bucket", "_sum", "_count")
PROMTOOL = shutil.which("promtool")

needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool is missing: `scripts/setup prometheus` installs it"
)


def promtool(*arguments: str) -> str:
    done = subprocess.run(["promtool", *arguments], cwd=RULES, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def board() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(BOARD.read_text())
    return found


def expressions() -> Iterator[str]:
    for panel in board()["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"]


def existing() -> set[str]:
    clock = FakeClock()
    store = MemoryFigures(MemoryTaskStore(clock), MemoryJournal(clock), clock)
    around = Around("1.2.3", "desk", 10, CHECKOUT, supabase_state=lambda: "live")
    return {name for name, *_ in Metrics(store, clock, around).described()}


@needs_promtool
def test_the_alerts_fire_when_they_should_and_are_silent_before() -> None:
    promtool("check", "rules", "alerts.yml")
    assert "SUCCESS" in promtool("test", "rules", "tests.yml")


@needs_promtool
def test_every_expression_of_the_board_is_understood(tmp_path: Path) -> None:
    rules = [
        {"record": f"board:panel_{number}", "expr": expr.replace("$__rate_interval", "5m").replace("$instance", ".*")}
        for number, expr in enumerate(expressions())
    ]
    file = tmp_path / "board.yml"
    file.write_text(json.dumps({"groups": [{"name": "board", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", str(file))


def test_every_alert_has_its_test() -> None:
    alerts = set(re.findall(r"- alert: (\w+)", (RULES / "alerts.yml").read_text()))
    tested = (RULES / "tests.yml").read_text()
    assert alerts and {name for name in alerts if f"alertname: {name}" not in tested} == set()


def test_rules_and_board_speak_of_metrics_that_exist() -> None:
    used = set(re.findall(r"\bccm_\w+", (RULES / "alerts.yml").read_text() + " ".join(expressions())))
    there = existing()
    unknown = {name for name in used if name not in there and name.removesuffix(_suffix(name)) not in there}
    assert used and unknown == set()


def test_panels_have_their_places() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in board()["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken and place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells
    ids = [panel["id"] for panel in board()["panels"]]
    assert len(set(ids)) == len(ids)


def _suffix(name: str) -> str:
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix)), "")
