"""Releases that are refused, supported, and newer than tested."""

import pytest

from ccm_orchestrator.adapters.claude.versions import (
    NEWEST_TESTED,
    OLDEST,
    Version,
    caution,
    parse_version,
    require_supported,
)
from ccm_orchestrator.errors import AgentUnsupported


def test_a_version_is_read() -> None:
    assert parse_version("2.1.329 (Claude Code)\n") == Version(2, 1, 329)


@pytest.mark.parametrize("output", ["", "v20.1.0", "2.1 (Claude Code)", "claude: not found", "2.1.329"])
def test_what_is_no_claude_code_is_refused(output: str) -> None:
    with pytest.raises(AgentUnsupported, match="claude --version"):
        parse_version(output)


def test_an_old_release_is_refused_with_what_to_do() -> None:
    with pytest.raises(
        AgentUnsupported, match=r"2\.1\.196 is too old, at least 2\.1\.197 is needed; run `claude update`"
    ):
        require_supported(Version(2, 1, 196))
    require_supported(OLDEST)


def test_a_newer_release_is_allowed_with_a_warning() -> None:
    newer = NEWEST_TESTED._replace(patch=NEWEST_TESTED.patch + 1)
    require_supported(newer)
    assert "newer than the newest release tested" in caution(newer)
    assert caution(NEWEST_TESTED) == ""
