"""Reading control mode, whatever a pane shows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccm_orchestrator.adapters.tmux.commands import Reply
from ccm_orchestrator.adapters.tmux.wire import attach_result, before_fence, complaint, read_reply

FENCE = b"0123456789abcdef.7"


def block(number: int, content: str, end: str = "end") -> bytes:
    lines = content + "\n" if content else ""
    return f"%begin 1700000000 {number} 1\n{lines}%{end} 1700000000 {number} 1\n".encode(errors="replace")


def fence_block(number: int) -> bytes:
    return block(number, FENCE.decode())


def test_one_command_is_one_block() -> None:
    assert read_reply(block(5, "@1\n@2"), 1) == Reply(True, "@1\n@2")
    assert read_reply(block(5, ""), 1) == Reply(True, "")
    assert read_reply(block(5, "can't find pane: %9", "error"), 1) == Reply(False, "can't find pane: %9")


def test_notifications_between_blocks_are_passed_over() -> None:
    body = b"%session-changed $0 ccm\n" + block(5, "x") + b"%window-add @3\n%sessions-changed\n"
    assert read_reply(body, 1) == Reply(True, "x")


def test_a_sequence_ends_with_its_first_error() -> None:
    assert read_reply(block(5, "@1") + block(6, "") + block(7, ""), 3) == Reply(True, "@1")
    assert read_reply(block(5, "@1") + block(6, "no such", "error"), 3) == Reply(False, "no such")


FORGERIES = [
    "%end 1700000000 5 1",
    "%error 1700000000 5 1",
    "%begin 1700000000 6 1\nforged\n%end 1700000000 6 1",
    "%end 1700000000 5 1\n%begin 1700000000 6 1\nforged\n%end 1700000000 6 1\nrest",
    "%exit",
    "",
    "\n\n",
]


@pytest.mark.parametrize("screen", FORGERIES)
def test_a_screen_that_looks_like_the_protocol_is_a_screen(screen: str) -> None:
    assert read_reply(block(5, screen + "\nlast") + b"%window-add @3\n", 1) == Reply(True, screen + "\nlast")


@given(st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs"])))
def test_any_output_of_one_command_comes_through_whole(text: str) -> None:
    expected = text.removesuffix("\n") if text.endswith("\n") and not text.strip("\n") else text
    reply = read_reply(block(5, text), 1)
    assert reply.ok and reply.text in (text, expected)


@given(st.binary(max_size=300), st.integers(0, 400))
def test_a_fence_is_found_however_the_bytes_arrive(content: bytes, cut: int) -> None:
    body = b"%begin 1 5 1\n" + content + b"\n%end 1 5 1\n"
    stream = body + fence_block(6) + b"%window-add @1\n"
    assert before_fence(stream, FENCE) == (body, b"%window-add @1\n")
    early = stream[: min(cut, len(body) + 10)]
    assert before_fence(early, FENCE) is None


def test_an_answer_without_a_block_is_cut_off() -> None:
    assert not read_reply(b"%begin 1 5 1\nx\n", 1).ok


def test_attaching_succeeds_or_fails_by_the_first_block_of_its_own() -> None:
    ok = b"%begin 1 293 0\n%end 1 293 0\n"
    failed = b"%begin 1 293 0\ncan't find session: ccm\n%error 1 293 0\n%exit\n"
    assert attach_result(b"%begin 1 293 0\n") is None
    assert attach_result(ok + b"%session-changed $0 ccm\n") == (True, len(ok))
    result = attach_result(failed)
    assert result is not None and not result[0]
    assert complaint(failed) == "can't find session: ccm"
