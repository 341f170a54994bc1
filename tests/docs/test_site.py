"""The site: built without a warning, it asks no other server for anything, and its diagrams are what the code does."""

import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from ccm_orchestrator.domain import transitions
from ccm_orchestrator.domain.agent import AgentState
from ccm_orchestrator.domain.task import TRANSITIONS, HoldReason, TaskStatus
from tests.docs.diagrams import AGENTS, DIAGRAMS, PLACE, TASKS
from tests.docs.source import CHECKOUT

DOCS = CHECKOUT / "docs"
PAGES = sorted(path.stem for path in DOCS.glob("*.md"))

pytest.importorskip("myst_parser", reason="the builder is not installed: run `make setup`")
pytest.importorskip("furo", reason="the builder's theme is not installed: run `make setup`")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("site")
    built = _run([str(CHECKOUT / "scripts" / "build-site")], CCM_SITE=str(place))
    assert (built.returncode, built.stderr) == (0, "")
    return place


def _run(argv: list[str], **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, capture_output=True, text=True, timeout=100, check=False, env=os.environ | more)


class Loaded(HTMLParser):
    """What a browser fetches by itself when it shows a page."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "a":
            self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data")]


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    for page in site.glob("*.html"):
        loaded = Loaded()
        loaded.feed(page.read_text())
        assert loaded.addresses and [one for one in loaded.addresses if re.match(r"(\w+:)?//", one)] == [], page.name
    for sheet in site.rglob("*.css"):
        assert re.findall(r"(?:url\(|@import) *[\"']?(?:https?:)?//[^)]*", sheet.read_text()) == [], sheet.name


def test_every_page_is_there_and_in_the_navigation(site: Path) -> None:
    navigation = (site / "quickstart.html").read_text()
    for name in PAGES:
        assert (site / f"{name}.html").exists()
        assert f'href="{name}.html"' in navigation or name == "quickstart", f"add {name} to docs/index.md"


def test_the_architectures_diagram_needs_no_program_in_the_browser(site: Path) -> None:
    page = (site / "architecture.html").read_text()
    assert "agent-states.svg" in page and "stateDiagram-v2" in page and "language-mermaid" not in page


def test_dead_links_and_anchors_stop_the_build(tmp_path: Path) -> None:
    shutil.copy(DOCS / "conf.py", tmp_path)
    shutil.copytree(DOCS / "_static", tmp_path / "_static")
    shutil.copy(DOCS / "openapi.json", tmp_path)
    (tmp_path / "index.md").write_text("# One\n\n[a](gone.md) [b](#gone) [c](index.md#gone) [d](#one)\n")
    argv = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "--quiet", "-b", "dummy"]
    told = _run([*argv, str(tmp_path), str(tmp_path / "out")])
    assert told.returncode == 1 and told.stderr.count("WARNING") == 3, told.stderr


@pytest.mark.parametrize("name", sorted(DIAGRAMS))
def test_diagrams_are_up_to_date(name: str) -> None:
    assert (PLACE / name).read_text() == DIAGRAMS[name].svg(), "run `make docs`"


def test_the_diagram_of_tasks_shows_every_legal_move_and_no_other() -> None:
    assert TASKS.pairs() == {
        (source.value, target.value) for source, targets in TRANSITIONS.items() for target in targets
    }


def test_the_diagram_of_agents_shows_every_move_of_the_table_and_no_other() -> None:
    moves = [move for found in transitions.TRANSITIONS.values() for move in found.items()]
    assert AGENTS.pairs() == {(source.value, target.value) for source, target in moves if source is not target}


def test_every_state_and_every_reason_of_a_hold_is_explained() -> None:
    concepts, trouble = (DOCS / "concepts.md").read_text(), (DOCS / "troubleshooting.md").read_text()
    assert [s.value for s in (*TaskStatus, *AgentState) if f"| `{s.value}` |" not in concepts] == []
    assert [reason.value for reason in HoldReason if f"| `{reason.value}` |" not in trouble] == []
