"""How a text reaches the model as text, whole, whatever it begins with and whatever it contains.

Claude Code runs a text that begins with a slash as a command and takes a lone `exit` for a command, white space and
invisible characters in front or not; such a text gets a visible word in front. Its interactive mode drops control
characters and most invisible ones from a prompt (2.1.329), so they are shown as what they are instead of vanishing.
"""

from __future__ import annotations

import re
import unicodedata

_EXIT_WORDS = frozenset({"exit", "quit", ":q", ":q!", ":wq", ":wq!"})
_KEPT = "\n\t"
_PICTURES = 0x2400
_DELETE = 0x7F
_C1 = range(0x80, 0xA0)
_UNSEEN = re.compile(
    "[\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
"""Zero-width, direction and tag characters. Joiners and variation selectors, which emoji and scripts need, stay."""


def shielded(text: str, word: str) -> str:
    """The text, with `word` in front when Claude Code would otherwise take it for a command."""
    visible = text.lstrip(_invisible(text))
    is_command = visible.startswith("/") or visible.strip().lower() in _EXIT_WORDS
    return f"{word} {text}" if is_command else text


def visible_controls(text: str) -> str:
    """Control characters as their pictures (ESC becomes ␛), invisible ones as their codes, CRLF as a newline.

    Newlines and tabs stay."""
    return _UNSEEN.sub(_code, "".join(_visible(char) for char in text.replace("\r\n", "\n")))


def prompt_bytes(prompt: str, interactive: bool) -> bytes:
    """What the agent reads from its standard input. A lone surrogate, which no encoding has, becomes its escape."""
    text = shielded(visible_controls(prompt) if interactive else prompt, "Task:")
    return text.encode("utf-8", "backslashreplace")


def _visible(char: str) -> str:
    code = ord(char)
    if char in _KEPT or (code >= 0x20 and code != _DELETE and code not in _C1):
        return char
    if code in _C1:
        return f"\\x{code:02x}"
    return "␡" if code == _DELETE else chr(_PICTURES + code)


def _code(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _invisible(text: str) -> str:
    """The characters of this text that neither show nor count at its beginning."""
    return "".join({char for char in text if char.isspace() or unicodedata.category(char) in ("Cf", "Cc")})
