"""What the page says of WebSockets is what the program does."""

import re
from typing import get_args

from ccm_orchestrator.api.live.feed import KEPT_BYTES, KEPT_EVENTS
from ccm_orchestrator.api.live.frames import MAX_DATA_CHARACTERS, FrameType
from ccm_orchestrator.api.live.inbound import Answer, Interrupt, ScreenInput, UserMessage
from ccm_orchestrator.api.live.routes import SocketQuery
from ccm_orchestrator.api.live.socket import REFUSED, RESTART
from ccm_orchestrator.api.server import PING_S
from tests.docs.source import CHECKOUT

LIVE = (CHECKOUT / "docs" / "api.md").read_text().partition("\n## Live\n")[2].partition("\n## ")[0]


def table_of(heading: str) -> set[str]:
    """The words in the first column of its table."""
    part = LIVE.partition(f"\n### {heading}\n")[2].partition("\n### ")[0]
    first = re.findall(r"^\| (`[^|]*`|\d+) \|", part, re.M)
    return {word.strip("`") for cell in first for word in cell.split(", ")} - {"type"}


def test_every_type_of_frame_is_explained() -> None:
    assert table_of("What is told") == set(FrameType) - {FrameType.TASK_OUTPUT}
    assert "`task.output`" in LIVE


def test_everything_that_may_be_sent_is_explained() -> None:
    sent = (UserMessage, Answer, Interrupt, ScreenInput)
    types = {get_args(model.model_fields["type"].annotation)[0] for model in sent}
    assert table_of("What may be sent") == types


def test_every_parameter_is_explained() -> None:
    assert {name.partition("=")[0] for name in table_of("Opening a WebSocket")} == set(SocketQuery.model_fields)


def test_the_figures_are_those_of_the_program() -> None:
    assert table_of("How it ends") == {str(code) for code in (RESTART, REFUSED, 1009)}
    assert (KEPT_EVENTS, KEPT_BYTES, MAX_DATA_CHARACTERS, PING_S) == (4_096, 48_000_000, 256_000, 20.0)
    for words in ("4,096 and 48 MB", "256,000 characters", "pings for 20 s"):
        assert words in LIVE
