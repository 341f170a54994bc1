"""What the doctor says of the targets of notifications, by the real Apprise, without sending anything."""

from __future__ import annotations

import pytest

from ccm_orchestrator.settings import Settings
from ccm_orchestrator.setup.check import Verdict
from ccm_orchestrator.setup.notice_checks import targets
from tests.receiver import receiving

SECRET = "canary0123456789"


def settings(**urls: str) -> Settings:
    return Settings.model_validate({"notifications": {"targets": {name: {"url": url} for name, url in urls.items()}}})


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"nosuch://{SECRET}", "Apprise knows no `nosuch://`"),
        (f"tgram://{SECRET}", "of what `tgram://` needs, something is missing"),
        (SECRET, "does not begin with the name of a service"),
        (f"{SECRET}{SECRET}://x", "does not begin with the name of a service"),
    ],
)
async def test_an_address_that_apprise_does_not_understand_is_named_without_it(url: str, words: str) -> None:
    check = await targets(settings(phone=url, good="json://localhost"))
    assert check.verdict is Verdict.FAIL
    assert check.found.startswith("phone: ") and words in check.found and "good" not in check.found
    assert "`notifications.targets.phone`" in check.fix
    assert SECRET not in f"{check.found}{check.fix}{check.command}"


async def test_what_is_understood_is_well_and_told_nothing() -> None:
    with receiving() as receiver:
        check = await targets(settings(phone=receiver.url))
        assert (check.verdict, check.found) == (Verdict.OK, "1: phone")
        assert receiver.got == []
