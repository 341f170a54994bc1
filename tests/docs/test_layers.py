"""The order of the house: who may import whom, function-local and type-checking imports included."""

import graphlib
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.docs.source import CHECKOUT, PACKAGE, Module, import_graph, modules

LAYERS = (
    ("errors", "programs", "directories"),
    ("domain",),
    ("ports",),
    ("settings",),
    ("adapters", "engine", "security", "fakes"),
    ("client",),
    ("api",),
    ("telemetry",),
    ("wiring",),
    ("setup",),
    ("demo", "devstack"),
    ("cli",),
    ("__main__", "frozen"),
)
"""Lowest first. A module imports from its own layer or a lower one."""

STRANGERS = frozenset({"adapters", "engine", "fakes"})
"""Of one layer, and unknown to each other."""

READ_SETTINGS = frozenset({"settings", "wiring", "setup", "demo", "cli"})

IMPURE = frozenset(
    {"asyncio", "multiprocessing", "os", "random", "secrets", "shutil", "signal", "socket", "sqlite3", "subprocess"}
    | {"tempfile", "threading", "time", "urllib", "uuid"}
)
"""What the domain must not have: input, output, threads, clocks, chance."""

HOMES = {
    "aiohttp": {"devstack"},
    "apprise": {"adapters.apprise"},
    "asyncinotify": {"adapters.watch"},
    "fastapi": {"api"},
    "libtmux": {"adapters.tmux"},
    "psycopg": {"devstack", "adapters.supabase"},
    "postgrest": {"adapters.supabase"},
    "realtime": {"adapters.supabase"},
    "rich": {"cli", "setup", "demo"},
    "sqlite3": {"adapters.sqlite", "cli", "setup", "demo"},
    "prometheus_client": {"telemetry"},
    "opentelemetry": {"telemetry"},
    "structlog": {"telemetry", "engine.roster"},
    "starlette": {"api", "security"},
    "typer": {"cli"},
    "uvicorn": {"api", "demo"},
    "websockets": {"adapters.supabase"},
}
"""Technologies, and the only parts of the package that know them."""

RANKS = {part: rank for rank, parts in enumerate(LAYERS) for part in parts}


def part_of(name: str) -> str:
    """`ccm_orchestrator.adapters.git` → `adapters`; the package itself → an empty string."""
    return name.removeprefix(PACKAGE).lstrip(".").partition(".")[0]


def misplaced(found: list[Module]) -> list[str]:
    return [
        f"{place}: {module} imports {target}"
        for module, targets in import_graph(found).items()
        for target, place in targets.items()
        if part_of(target) and not _allowed(part_of(module), part_of(target))
    ]


def _allowed(importer: str, imported: str) -> bool:
    if importer == imported:
        return True
    if importer == "launcher" or RANKS.get(imported, len(LAYERS)) > RANKS.get(importer, -1):
        return False
    if imported == "settings" and importer not in READ_SETTINGS:
        return False
    return not {importer, imported} <= STRANGERS


def cycle(found: list[Module]) -> list[str]:
    """One import cycle, or nothing."""
    try:
        graphlib.TopologicalSorter(import_graph(found)).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


@cache
def package() -> list[Module]:
    return modules(CHECKOUT, PACKAGE)


@pytest.fixture(scope="module", autouse=True)
def memory() -> Iterator[None]:
    """What was parsed is kept for these tests, and for no others."""
    yield
    package.cache_clear()


def test_every_part_has_its_layer() -> None:
    parts = {part_of(module.name) for module in package()} - {"", "launcher"}
    assert parts <= set(RANKS), "give it a place in LAYERS and in docs/architecture.md"


def test_imports_go_downwards() -> None:
    assert misplaced(package()) == []


def test_no_import_cycle() -> None:
    assert cycle(package()) == []


def test_domain_is_pure_and_the_launcher_has_only_the_standard_library() -> None:
    foreign = [
        f"{module.place(node)}: {imported}"
        for module in package()
        for imported, node in module.imported_names()
        if (part := part_of(module.name)) in {"errors", "domain", "launcher"}
        and (top := imported.partition(".")[0]) not in {PACKAGE, "__future__"}
        and (top not in sys.stdlib_module_names or (part != "launcher" and top in IMPURE))
    ]
    assert foreign == []


def test_each_technology_stays_at_home() -> None:
    strays = [
        f"{module.place(node)}: {imported} belongs to {', '.join(sorted(homes))}"
        for module in package()
        for imported, node in module.imported_names()
        if (homes := HOMES.get(imported.partition(".")[0]))
        and not any(f"{module.name}.".startswith(f"{PACKAGE}.{home}.") for home in homes)
    ]
    assert strays == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("domain/task.py", "def f():\n    from ccm_orchestrator.engine import run"),
        ("domain/task.py", "from ..engine.run import Run"),
        ("engine/bus.py", "import ccm_orchestrator.adapters.git"),
        ("adapters/git.py", "from ccm_orchestrator import engine"),
        ("engine/bus.py", "if TYPE_CHECKING:\n    from ccm_orchestrator.settings import Settings"),
        ("launcher/main.py", "from ccm_orchestrator.errors import TmuxMissing"),
        ("cli/main.py", "from ccm_orchestrator import launcher"),
        ("api/app.py", "from ccm_orchestrator.wiring import build"),
    ],
)
def test_a_wrong_import_is_noticed(tmp_path: Path, path: str, source: str) -> None:
    house(tmp_path)
    (tmp_path / PACKAGE / path).write_text(source)
    assert len(misplaced(modules(tmp_path, PACKAGE))) == 1


def test_right_imports_are_left_alone(tmp_path: Path) -> None:
    house(tmp_path)
    (tmp_path / PACKAGE / "wiring.py").write_text(
        "from ccm_orchestrator import __version__\n"
        "from ccm_orchestrator.settings import Settings\n"
        "from ccm_orchestrator.engine.bus import Bus\n"
        "from .adapters import git\n"
        "import json\n"
    )
    (tmp_path / PACKAGE / "launcher" / "main.py").write_text("import ccm_orchestrator.launcher\nimport posix")
    assert misplaced(modules(tmp_path, PACKAGE)) == []


def test_a_cycle_through_a_function_is_noticed(tmp_path: Path) -> None:
    house(tmp_path)
    (tmp_path / PACKAGE / "engine" / "bus.py").write_text("from ccm_orchestrator.engine import run")
    (tmp_path / PACKAGE / "engine" / "run.py").write_text("def f():\n    from . import bus")
    assert set(cycle(modules(tmp_path, PACKAGE))) == {f"{PACKAGE}.engine.bus", f"{PACKAGE}.engine.run"}


def house(root: Path) -> None:
    for part in ("domain/task", "engine/bus", "engine/run", "adapters/git", "api/app", "cli/main", "launcher/main"):
        (root / PACKAGE / part).parent.mkdir(parents=True, exist_ok=True)
        (root / PACKAGE / part).with_name("__init__.py").touch()
        (root / PACKAGE / f"{part}.py").touch()
    for name in ("__init__", "errors", "settings", "wiring"):
        (root / PACKAGE / f"{name}.py").touch()
