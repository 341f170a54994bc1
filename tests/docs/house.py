"""The rules of the house that ruff and mypy cannot hold. Each gives the places where it is broken."""

import ast
import re
from collections.abc import Iterator, Sequence

from tests.docs.source import FunctionNode, Module, dotted

DRAWERS = re.compile(r"(?:^|_)(?:utils?|helpers?|common|misc|managers?)$")
"""Names that do not say a duty."""

BROAD = frozenset({"", "Exception", "BaseException"})
_REASON = re.compile(r"#\s*(?:noqa: *BLE001\W+)?(?!noqa)\w.{9,}")
"""A comment on the same line with a why of ten characters or more, behind `noqa: BLE001` where ruff needs that."""

BLOCKING_SLEEPS = frozenset({"time.sleep", "sleep"})
SLEEPS = BLOCKING_SLEEPS | {"asyncio.sleep", "anyio.sleep"}
_SLEEPS_WELL = re.compile(r"#.*\bsleeps because \w.{9,}")


def long_files(modules: Sequence[Module], limit: int) -> Iterator[str]:
    return (f"{m.place(m.tree)} has {len(m.lines)} lines" for m in modules if len(m.lines) > limit)


def long_functions(modules: Sequence[Module], limit: int) -> Iterator[str]:
    functions = (function for module in modules for function in module.functions)
    return (f"{f.place} has {f.code_lines} code lines" for f in functions if f.lines > limit and f.code_lines > limit)


def drawers(modules: Sequence[Module]) -> Iterator[str]:
    return (m.place(m.tree) for m in modules if any(map(DRAWERS.search, m.name.split("."))))


def local_imports(modules: Sequence[Module]) -> Iterator[str]:
    return (f"{m.place(node)} {ast.unparse(node)}" for m in modules for node in m.local_imports)


def broad_excepts(modules: Sequence[Module]) -> Iterator[tuple[Module, int]]:
    """Handlers that catch everything and do not end in `raise`, and `suppress(Exception)`: module and line number."""
    for module in modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ExceptHandler) and _catches_all(node.type):
                if not isinstance(node.body[-1], ast.Raise):
                    yield module, node.lineno
            elif isinstance(node, ast.Call) and dotted(node.func).endswith("suppress"):
                yield from ((module, node.lineno) for argument in node.args if _catches_all(argument))


def unexplained_excepts(modules: Sequence[Module]) -> Iterator[str]:
    return (
        f"{module.path.relative_to(module.root)}:{line} {module.lines[line - 1].strip()}"
        for module, line in broad_excepts(modules)
        if not _REASON.search(module.lines[line - 1])
    )


def shells(modules: Sequence[Module]) -> Iterator[str]:
    """Calls through which text could reach a shell."""
    return (
        f"{module.place(call)} {ast.unparse(call.func)}"
        for module in modules
        for call in module.calls
        if dotted(call.func) in {"os.system", "os.popen", "asyncio.create_subprocess_shell"}
        or any(word.arg == "shell" and ast.unparse(word.value) != "False" for word in call.keywords)
    )


def bare_sleeps(modules: Sequence[Module], names: frozenset[str] = SLEEPS) -> Iterator[str]:
    """Sleeps outside of a loop: inside one it is the pause between two looks at a condition.

    One that is right says so in its line: `# sleeps because REASON`.
    """
    for module in modules:
        looping = {id(inner) for node in ast.walk(module.tree) if _is_loop(node) for inner in ast.walk(node)}
        for call in module.calls:
            if (
                _is_sleep(call, names)
                and id(call) not in looping
                and not _SLEEPS_WELL.search(module.lines[call.lineno - 1])
            ):
                yield f"{module.place(call)} {ast.unparse(call)}"


def singletons(modules: Sequence[Module]) -> Iterator[str]:
    """Objects with a life that are made when a module is imported.

    Values are fine: enums, frozen dataclasses, classes without methods.
    """
    alive = {name for module in modules for name in _living_classes(module)}
    for module in modules:
        for statement in module.tree.body:
            if isinstance(statement, ast.Assign | ast.AnnAssign | ast.Expr) and statement.value is not None:
                for node in ast.walk(statement.value):
                    if isinstance(node, ast.Call) and dotted(node.func).rpartition(".")[2] in alive:
                        yield f"{module.place(node)} {ast.unparse(node.func)}"


def _catches_all(caught: ast.expr | None) -> bool:
    if isinstance(caught, ast.Tuple):
        return any(map(_catches_all, caught.elts))
    return caught is None or dotted(caught) in BROAD - {""}


def _is_loop(node: ast.AST) -> bool:
    return isinstance(node, ast.While | ast.For | ast.AsyncFor)


def _is_sleep(call: ast.Call, names: frozenset[str]) -> bool:
    yields_only = bool(call.args) and ast.unparse(call.args[0]) == "0"
    return dotted(call.func) in names and not yields_only


def _living_classes(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ClassDef) and not _is_value(node):
            yield node.name


def _is_value(node: ast.ClassDef) -> bool:
    bases = {dotted(base).rpartition(".")[2] for base in node.bases}
    if bases & {"Enum", "StrEnum", "IntEnum", "NamedTuple", "TypedDict"}:
        return True
    if not node.bases and not any(isinstance(part, FunctionNode) for part in node.body):
        return True
    return any("dataclass" in (text := ast.unparse(mark)) and "frozen=True" in text for mark in node.decorator_list)
