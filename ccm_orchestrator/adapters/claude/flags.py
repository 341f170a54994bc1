"""Which arguments of Claude Code a caller of the API may choose.

None of them lets the agent reach, run or send more than its profile does: no directories, settings, plugins, servers or
hooks, no skipped permissions, and nothing that changes how we follow it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence

from ccm_orchestrator.errors import InputError

Check = Callable[[str], bool]

MOST_FLAGS = 50
TEXT_LENGTH = 20_000
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/\[\]@-]{0,199}")
_TOOL = re.compile(r"[A-Za-z_][A-Za-z0-9_*-]{0,199}(\([^()\x00-\x1f]{1,500}\))?")
_RESTRICTED_MODE = "dontAsk"


def _word(value: str) -> bool:
    return _WORD.fullmatch(value) is not None


def _words(value: str) -> bool:
    return all(map(_word, value.split(",")))


def _count(value: str) -> bool:
    return re.fullmatch(r"[1-9]\d{0,5}", value) is not None


def _text(value: str) -> bool:
    return 0 < len(value) <= TEXT_LENGTH and not value.startswith("-") and "\0" not in value


def _json_object(value: str) -> bool:
    try:
        return _text(value) and isinstance(json.loads(value), dict)
    except (ValueError, RecursionError):
        return False


def _one_of(*values: str) -> Check:
    return values.__contains__


def _tools(value: str) -> bool:
    return all(_TOOL.fullmatch(tool) for tool in value.split(","))


FLAGS: Mapping[str, tuple[str, Check] | None] = {
    "--disable-slash-commands": None,
    "--disallowed-tools": ("tools, separated by commas", _tools),
    "--disallowedTools": ("tools, separated by commas", _tools),
    "--effort": ("low, medium, high, xhigh or max", _one_of("low", "medium", "high", "xhigh", "max")),
    "--exclude-dynamic-system-prompt-sections": None,
    "--fallback-model": ("models, separated by commas", _words),
    "--include-partial-messages": None,
    "--json-schema": ("a JSON object", _json_object),
    "--max-turns": ("a number from 1", _count),
    "--model": ("the name of a model", _word),
    "--permission-mode": ("plan or dontAsk", _one_of("plan", _RESTRICTED_MODE)),
    "--strict-mcp-config": None,
    "--system-prompt": ("a text", _text),
}
"""What its value must be, and how that is checked; None: it has none."""


def allowed_flags(flags: Sequence[str]) -> tuple[str, ...]:
    """As `--name value` or `--name=value`; given back as the latter. Raises: InputError."""
    if len(flags) > MOST_FLAGS:
        raise InputError(f"Expected at most {MOST_FLAGS} `flags`, got: {len(flags)}.")
    checked, rest = [], list(flags)
    while rest:
        name, joined, value = rest.pop(0).partition("=")
        if name not in FLAGS:
            raise InputError(f"The flag {name[:100]!r} is not allowed; these are: {', '.join(FLAGS)}.", flag=name[:100])
        rule = FLAGS[name]
        if rule is None and joined:
            raise InputError(f"The flag `{name}` takes no value, got: {value[:100]!r}.", flag=name)
        if rule is not None and not joined:
            value = rest.pop(0) if rest else ""
        if rule is not None and not rule[1](value):
            raise InputError(f"Expected `{name}` to be followed by {rule[0]}, got: {value[:100]!r}.", flag=name)
        checked.append(name if rule is None else f"{name}={value}")
    return tuple(checked)


def flags_for_tools(tools: Sequence[str] | None) -> tuple[str, ...]:
    """What keeps an agent to these tools, whatever its profile allows; None: nothing does. Raises: InputError."""
    if tools is None:
        return ()
    for tool in tools:
        if _TOOL.fullmatch(tool) is None:
            raise InputError(
                f"Expected a tool such as `Read`, `Bash(git log:*)` or `mcp__server__tool`, got: {tool[:100]!r}."
            )
    built_in = dict.fromkeys(tool.partition("(")[0] for tool in tools if not tool.startswith("mcp__"))
    return (f"--permission-mode={_RESTRICTED_MODE}", f"--tools={','.join(built_in)}")
