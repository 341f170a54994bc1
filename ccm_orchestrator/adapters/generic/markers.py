"""End markers that only one run can print: `[DONE 0f3a…]` and `[ERROR 0f3a…] reason`, each on a line of its own.

The nonce keeps a prompt, a file or a tool's output that contains "[DONE]" from ending the run, and the instruction
names only the parts of a marker, so that an agent which shows its prompt does not show a marker.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

MAX_REASON_CHARACTERS = 500
MAX_TEXT_CHARACTERS = 4_000
_ORNAMENT = r"[^\w\n\[\]'\"$#\\<>{}()=+:;,.?!/-]*"
"""What a program may draw around its lines: blanks, bullets, bars, box corners."""


@dataclass(frozen=True, slots=True)
class FoundMarker:
    done: bool
    detail: str
    """When done, the text above the marker, which is the answer or its end; else the reason."""


def nonce(run_id: str) -> str:
    """Twelve hex digits that appear nowhere but in the run's own marker."""
    return hashlib.sha256(f"end marker of {run_id}".encode()).hexdigest()[:12]


def done_marker(run_id: str) -> str:
    return f"[DONE {nonce(run_id)}]"


def error_marker(run_id: str) -> str:
    return f"[ERROR {nonce(run_id)}]"


def instruction(run_id: str) -> str:
    """For an agent that has to print the marker itself."""
    code = nonce(run_id)
    return (
        "When the task is finished, print a line that holds nothing but a pair of square brackets, and in them the "
        f"word DONE, one space, and the code {code}. When you cannot finish it, print such a line with the word ERROR "
        "in place of DONE, and the reason behind the closing bracket."
    )


def find_marker(text: str, run_id: str) -> FoundMarker | None:
    """The last one in the text."""
    code = re.escape(nonce(run_id))
    pattern = re.compile(rf"^{_ORNAMENT}\[(?:(DONE) {code}\]{_ORNAMENT}|ERROR {code}\](.*))$", re.M)
    found = list(pattern.finditer(text))
    if not found:
        return None
    last = found[-1]
    if last[1] is None:
        return FoundMarker(False, last[2].strip(" \t│┃|║")[:MAX_REASON_CHARACTERS])
    return FoundMarker(True, without_markers(text[: last.start()], run_id))


def without_markers(text: str, run_id: str) -> str:
    """The end of the text, without the lines that hold a marker and without blanks at the ends."""
    code = nonce(run_id)
    lines = [
        line.rstrip() for line in text.splitlines() if f"[DONE {code}]" not in line and f"[ERROR {code}]" not in line
    ]
    return "\n".join(lines).strip()[-MAX_TEXT_CHARACTERS:]
