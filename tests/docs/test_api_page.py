"""The configuration that the page about the API shows can be used as it stands."""

import re
from pathlib import Path

import pytest

from ccm_orchestrator.domain.caller import Scope
from ccm_orchestrator.security.jwks import FRESH_S, MOST_STALE_S, REFETCH_INTERVAL_S
from ccm_orchestrator.security.rates import BURST_S, Rates
from ccm_orchestrator.security.user_tokens import LEEWAY_S
from ccm_orchestrator.settings.sources import load_settings
from tests.docs.source import CHECKOUT

PAGE = (CHECKOUT / "docs" / "api.md").read_text()
CALLING = PAGE.partition("## Who is calling\n")[2].partition("\n## ")[0]
EXAMPLES = re.findall(r"^```toml\n(.*?)^```$", CALLING, re.M | re.S)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.split("]")[0][1:])
def test_its_examples_of_settings_can_be_used(tmp_path: Path, example: str) -> None:
    (tmp_path / "config.toml").write_text(example)
    settings = load_settings(tmp_path / "config.toml")
    assert settings.users.scopes or settings.remote.expose


def test_every_scope_is_explained() -> None:
    assert set(re.findall(r"^\| `(\w+)` \|", CALLING, re.M)) == set(Scope)


def test_the_figures_are_those_of_the_program() -> None:
    rates = Rates()
    figures = (rates.per_credential, rates.per_address, rates.failures_at_once, rates.failures, BURST_S)
    assert figures == (50, 100, 30, 0.5, 4)
    assert (FRESH_S, MOST_STALE_S, REFETCH_INTERVAL_S, LEEWAY_S) == (600, 86_400, 30, 30)
    for words in ("50 requests per second", "after 30 in a row", "after 10 minutes", "for a day", "differ by 30 s"):
        assert words in CALLING
