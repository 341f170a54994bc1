"""Python source as data: what the tests about the house look at."""

import ast
import gc
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
PACKAGE = "ccm_orchestrator"
_LAYOUT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Function:
    module: "Module"
    node: FunctionNode

    @property
    def place(self) -> str:
        return f"{self.module.place(self.node)} {self.node.name}"

    @property
    def lines(self) -> int:
        """From the first to the last."""
        return (self.node.end_lineno or self.node.lineno) - self.node.lineno + 1

    @cached_property
    def code_lines(self) -> int:
        """Lines that hold code of this function: no docstring, comment or blank line, nothing of nested functions."""
        own = _rows(self.node) & self.module.code_rows
        if ast.get_docstring(self.node, clean=False) is not None:
            own -= _rows(self.node.body[0])
        for inner in ast.walk(self.node):
            if isinstance(inner, FunctionNode) and inner is not self.node:
                own -= _rows(inner)
        return len(own)


@dataclass(frozen=True)
class Module:
    root: Path
    path: Path

    @property
    def name(self) -> str:
        """Dotted; a package has the name of its directory."""
        return ".".join(self.path.relative_to(self.root).with_suffix("").parts).removesuffix(".__init__")

    @cached_property
    def text(self) -> str:
        return self.path.read_text()

    @cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @cached_property
    def tree(self) -> ast.Module:
        """Parsed without the garbage collector, which finds nothing and takes twice as long as the parser."""
        gc.disable()
        try:
            return ast.parse(self.text, str(self.path))
        finally:
            gc.enable()

    @cached_property
    def code_rows(self) -> frozenset[int]:
        with self.path.open("rb") as source:
            tokens = [token for token in tokenize.tokenize(source.readline) if token.type not in _LAYOUT]
        return frozenset(row for token in tokens for row in range(token.start[0], token.end[0] + 1))

    @property
    def functions(self) -> Iterator[Function]:
        return (Function(self, node) for node in ast.walk(self.tree) if isinstance(node, FunctionNode))

    @property
    def calls(self) -> Iterator[ast.Call]:
        return (node for node in ast.walk(self.tree) if isinstance(node, ast.Call))

    @property
    def local_imports(self) -> Iterator[ast.stmt]:
        """Import statements inside functions."""
        found = {
            node: None
            for function in self.functions
            for node in ast.walk(function.node)
            if isinstance(node, ast.Import | ast.ImportFrom)
        }
        return iter(found)

    def place(self, node: ast.AST) -> str:
        return f"{self.path.relative_to(self.root)}:{getattr(node, 'lineno', 1)}"

    def imported_names(self) -> Iterator[tuple[str, ast.stmt]]:
        """Everything imported anywhere, absolute: `from a.b import c` gives `a.b.c`, whether c is a module or not."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((alias.name, node) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = self._absolute(node)
                yield from ((f"{base}.{alias.name}", node) for alias in node.names)

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        package = self.name.split(".")[: None if self.path.name == "__init__.py" else -1]
        return ".".join([*package[: len(package) - node.level + 1], *([node.module] if node.module else [])])


def modules(root: Path, *directories: str) -> list[Module]:
    """Every module below the directories, which are named relative to `root`."""
    return [Module(root, path) for name in directories for path in sorted((root / name).rglob("*.py"))]


def dotted(node: ast.expr) -> str:
    """`a.b.c` for such an expression, else an empty string."""
    if isinstance(node, ast.Attribute):
        return f"{inner}.{node.attr}" if (inner := dotted(node.value)) else ""
    return node.id if isinstance(node, ast.Name) else ""


def import_graph(found: Iterable[Module]) -> dict[str, dict[str, str]]:
    """Module → modules of the same set that it imports (inside functions, too), each with the place of the import."""
    by_name = {module.name: module for module in found}
    return {
        name: {
            target: module.place(node)
            for imported, node in module.imported_names()
            if (target := _nearest(imported, by_name)) and target != name
        }
        for name, module in by_name.items()
    }


def _nearest(imported: str, known: Iterable[str]) -> str:
    return next((name for name in (imported, imported.rpartition(".")[0]) if name in known), "")


def _rows(node: ast.stmt) -> frozenset[int]:
    return frozenset(range(node.lineno, (node.end_lineno or node.lineno) + 1))
