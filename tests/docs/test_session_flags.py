"""The page about the API lists the flags that callers may use."""

import re

from ccm_orchestrator.adapters.claude.flags import FLAGS
from tests.docs.source import CHECKOUT


def test_the_page_lists_the_flags_that_are_allowed() -> None:
    page = (CHECKOUT / "docs" / "api.md").read_text()
    listed = page[page.index("**`flags`** come from a list") :].partition("Nothing on it")[0]
    assert set(re.findall(r"`(--[\w-]+)`", listed)) == set(FLAGS) - {"--disallowed-tools"}
