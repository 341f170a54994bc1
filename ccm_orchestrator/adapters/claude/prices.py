"""When Claude Code's own price of a run may be believed: it prices a model that it does not know like another one."""

from __future__ import annotations

import re

_FAMILY = re.compile(r"claude-.*(?:opus|sonnet|haiku|fable)|(?:opus|sonnet|haiku|fable).*claude", re.IGNORECASE)


def trusted_model(model_id: str, cost_basis: str) -> bool:
    """`cost_basis` of the result record: `list` or `unknown`, and empty before 2.1.329, where the name must do."""
    return cost_basis != "unknown" if cost_basis else _FAMILY.search(model_id) is not None


def trusted_display(model_id: str, display_name: str) -> bool:
    """The status line shows a model that it does not know by its bare id."""
    return bool(display_name) and display_name != model_id
