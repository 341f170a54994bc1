"""Which line ends a run of the generic driver, and which only looks like it."""

import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccm_orchestrator.adapters.generic.markers import (
    MAX_REASON_CHARACTERS,
    MAX_TEXT_CHARACTERS,
    FoundMarker,
    done_marker,
    error_marker,
    find_marker,
    instruction,
    nonce,
    without_markers,
)

RUN = "0123456789abcdef0123456789abcdef"
DONE, ERROR = done_marker(RUN), error_marker(RUN)


@pytest.mark.parametrize("line", [DONE, f"   {DONE}  ", f"● {DONE}", f"│ {DONE}      │", f"**{DONE}**", f"`{DONE}`"])
def test_a_marker_on_a_line_of_its_own_counts_whatever_is_drawn_around_it(line: str) -> None:
    assert find_marker(f"It is fixed.\n\n{line}\n> _\n", RUN) == FoundMarker(True, "It is fixed.")


@pytest.mark.parametrize(
    "line",
    [
        f"Print {DONE} at the end.",
        f"{DONE} is what I will print",
        f"+ echo '{DONE}'",
        f"+{DONE}",
        f"> {DONE}",
        f'    "{DONE}",',
        f"sh -c 'make; echo {DONE}'",
        f"$ {DONE}",
        f"{DONE[:-1]}\n]",
        DONE.lower(),
        f"[DONE {nonce('another run')}]",
        "[DONE]",
        f"[DONE  {nonce(RUN)}]",
        f"please say {ERROR} and why",
    ],
)
def test_what_only_looks_like_a_marker_does_not_count(line: str) -> None:
    assert find_marker(f"before\n{line}\nafter", RUN) is None


def test_an_error_comes_with_its_reason() -> None:
    assert find_marker(f"text\n● {ERROR} the tests need a database  │", RUN) == FoundMarker(
        False, "the tests need a database"
    )
    assert find_marker(ERROR, RUN) == FoundMarker(False, "")


def test_the_last_marker_counts() -> None:
    assert find_marker(f"{DONE}\nno, wait\n{ERROR} it broke", RUN) == FoundMarker(False, "it broke")
    assert find_marker(f"first\n{ERROR} it broke\nfixed\n{DONE}", RUN) == FoundMarker(True, "first\nfixed")


def test_what_is_kept_of_the_text_is_bounded() -> None:
    found = find_marker(f"{'x' * 10_000}\n{DONE}", RUN)
    assert found is not None
    assert len(found.detail) == MAX_TEXT_CHARACTERS
    failed = find_marker(f"{ERROR} {'y' * 10_000}", RUN)
    assert failed is not None
    assert len(failed.detail) == MAX_REASON_CHARACTERS


def test_no_two_runs_share_a_nonce_and_it_is_not_in_the_run_id() -> None:
    runs = [secrets.token_hex(16) for _ in range(2_000)]
    assert len({nonce(run) for run in runs}) == len(runs)
    assert not any(nonce(run) in run for run in runs)


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=300), st.integers(1, 200))
def test_a_prompt_with_its_instruction_never_ends_the_run_at_any_width(prompt: str, width: int) -> None:
    echoed = f"{prompt}\n\n{instruction(RUN)}"
    wrapped = "\n".join(line[at : at + width] for line in echoed.splitlines() for at in range(0, len(line) + 1, width))
    assert find_marker(echoed, RUN) is None
    assert find_marker(wrapped, RUN) is None


@given(st.text(max_size=200))
def test_text_is_given_without_its_markers(text: str) -> None:
    kept = without_markers(f"{text}\n{DONE}\n", RUN)
    assert DONE not in kept
    assert kept.split() == text.split()
