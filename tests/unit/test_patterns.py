"""Patterns of rules, compared with the obvious but slow way to match them."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccm_orchestrator.domain.patterns import is_literal, literal, path_matches, text_matches

texts = st.text(alphabet="ab/ .*?\\\n", max_size=12)
patterns = st.text(alphabet="ab/ *?", max_size=8)
paths = st.lists(st.text(alphabet="ab.", min_size=1, max_size=3), min_size=1, max_size=5).map("/".join)
path_patterns = st.lists(st.sampled_from(["**", "*", "a", "b", "a*", "?", "ab"]), min_size=1, max_size=5).map("/".join)


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("npm test", "npm test", True),
        ("npm test", "npm test ", False),
        ("npm test*", "npm testing", True),
        ("npm test *", "npm testing", False),
        ("npm test *", "npm test", True),
        ("npm test *", "npm test -- --ci", True),
        ("git * --stat", "git log --stat", True),
        ("git * --stat", "git --stat", False),
        ("*", "", True),
        ("", "", True),
        ("", "a", False),
        ("a*b*a", "aba", True),
        ("a*a", "a", False),
        (r"echo \*", "echo *", True),
        (r"echo \*", "echo x", False),
        ("v?", "v2", True),
        ("[ab]", "a", False),
    ],
)
def test_texts(pattern: str, text: str, matches: bool) -> None:
    assert text_matches(pattern, text) is matches


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("/srv/**", "/srv/a/b.py", True),
        ("/srv/**", "/srv", True),
        ("/srv/**", "/srvx/a", False),
        ("/srv/*", "/srv/a/b", False),
        ("/srv/*.py", "/srv/.py", True),
        ("/srv/**/*.py", "/srv/a.py", True),
        ("/srv/**/*.py", "/srv/x/y/a.py", True),
        ("/srv/**/test/**/*.py", "/srv/a/test/b/c.py", True),
        ("/srv/**/test/**/*.py", "/srv/a/tests/b/c.py", False),
        ("/srv/a**", "/srv/ab/c", False),
        ("/srv/?", "/srv/a", True),
        ("**", "/anything/at/all", True),
    ],
)
def test_paths(pattern: str, path: str, matches: bool) -> None:
    assert path_matches(pattern, path) is matches


@given(patterns, texts)
def test_a_text_matches_as_the_slow_way_says(pattern: str, text: str) -> None:
    slow = "".join(".*" if char == "*" else "." if char == "?" else re.escape(char) for char in pattern)
    if pattern.endswith(" *"):
        slow = slow.removesuffix(re.escape(" ") + ".*") + "(?: .*)?"
    assert text_matches(pattern, text) is bool(re.fullmatch(slow, text, re.DOTALL))


def slow_path(pattern: list[str], path: list[str]) -> bool:
    if not pattern:
        return not path
    if pattern[0] == "**":
        return any(slow_path(pattern[1:], path[skipped:]) for skipped in range(len(path) + 1))
    return bool(path) and text_matches(pattern[0], path[0]) and slow_path(pattern[1:], path[1:])


@given(path_patterns, paths)
def test_a_path_matches_as_the_slow_way_says(pattern: str, path: str) -> None:
    assert path_matches(pattern, path) is slow_path(pattern.split("/"), path.split("/"))


@given(texts, texts)
def test_a_literal_matches_its_text_and_no_other(text: str, other: str) -> None:
    pattern = literal(text)
    assert is_literal(pattern) and text_matches(pattern, text) and path_matches(pattern, text)
    assert text_matches(pattern, other) is (text == other)


def test_many_stars_cost_no_time() -> None:
    started = time.perf_counter()
    assert not text_matches("*a" * 200 + "*b", "a" * 20_000)
    assert not path_matches("/".join(["**", "a"] * 100 + ["b"]), "/".join("a" * 2_000))
    assert time.perf_counter() - started < 5
