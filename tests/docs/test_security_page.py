"""The page on security names tests that there are, and leaves out none that bears an attack's number."""

from __future__ import annotations

import re

from tests.docs.source import CHECKOUT

PAGE = (CHECKOUT / "docs" / "security.md").read_text()


Row = tuple[set[int], list[str]]


def numbers(text: str) -> set[int]:
    """`12 to 14, 20` → 12, 13, 14, 20."""
    found = {int(number) for number in re.findall(r"\d+", text)}
    for first, last in re.findall(r"(\d+) to (\d+)", text):
        found |= set(range(int(first), int(last)))
    return found


def rows() -> list[Row]:
    """Numbers of attacks, and the tests that try them."""
    found = re.findall(r"^\| ([\d, to]*)\| [^|]* \| ([^|]*) \|$", PAGE, re.M)
    return [(numbers(attacks), re.findall(r"`(tests/[^`]+)`", tests)) for attacks, tests in found if "`tests/" in tests]


def in_tests() -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for path in (CHECKOUT / "tests").rglob("test_*.py"):
        for name in re.findall(r"def test_attacks?_((?:\d+_(?:and_)?)+)", path.read_text()):
            found.setdefault(str(path.relative_to(CHECKOUT)), set()).update(numbers(name))
    return found


def test_every_test_that_the_page_names_is_there_and_each_attack_is_tried() -> None:
    tried = in_tests()
    assert len(rows()) > 10
    for attacks, paths in rows():
        assert paths and all((CHECKOUT / path).exists() for path in paths), paths
        assert attacks <= set().union(*(tried.get(path, set()) for path in paths)), (attacks, paths)


def test_every_attack_that_is_tried_is_on_the_page() -> None:
    page: dict[str, set[int]] = {}
    for attacks, paths in rows():
        for path in paths:
            page.setdefault(path, set()).update(attacks)
    missing = {path: sorted(attacks - page.get(path, set())) for path, attacks in in_tests().items()}
    assert {path: attacks for path, attacks in missing.items() if attacks} == {}, "add them to docs/security.md"
