"""Which dialog a screen shows, in the words of both supported releases."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ccm_orchestrator.adapters.claude.layout import Layout
from ccm_orchestrator.domain.agent import Dialog

_DIALOGS: Sequence[tuple[Dialog, re.Pattern[str]]] = (
    (Dialog.PERMISSION, re.compile(r"Do you want to (?!use this API key).*\bYes\b.*Esc to cancel")),
    (Dialog.QUESTION, re.compile(r"Chat about this.*Enter to select|Type something\..*Enter to select")),
    (Dialog.QUESTION, re.compile(r"Ready to submit your answers\?")),
    (Dialog.PLAN, re.compile(r"Claude has written up a plan and is ready to execute\. Would you like to proceed\?")),
    (Dialog.PLAN, re.compile(r"Claude wants to exit plan mode.*\bYes\b")),
    (Dialog.ELICITATION, re.compile(r"MCP server .{1,100} requests your input")),
    (Dialog.TRUST, re.compile(r"Quick safety check.*I trust this folder")),
    (Dialog.API_KEY, re.compile(r"Do you want to use this API key\?")),
    (Dialog.BYPASS_WARNING, re.compile(r"running in Bypass Permissions mode.*I accept")),
    (Dialog.SETTINGS, re.compile(r"Settings (?:Warning|Error)\b")),
    (Dialog.AUTO_MODE, re.compile(r"Make auto mode your default permission mode\?")),
    (Dialog.AUTO_MODE, re.compile(r"Auto mode can't check actions in this session")),
    (Dialog.LOGIN, re.compile(r"Select login method|Paste code here if prompted")),
    (Dialog.ONBOARDING, re.compile(r"Unable to connect to Anthropic services|Choose the text style that looks best")),
)
"""In this order: a permission dialog shows what an agent wrote, which may quote any of the others."""
_ANY = re.compile(r"❯ |\b(?:esc to (?:cancel|close|go back)|enter to (?:confirm|select|continue))", re.IGNORECASE)
_OTHER_VIEW = re.compile(r"enter to open|space to reply", re.IGNORECASE)
"""The footer of the list of sessions, whose own box looks like the prompt."""


def find_dialog(layout: Layout) -> Dialog | None:
    """None when the prompt is open, and for a screen that shows nothing of the kind."""
    if layout.box:
        return Dialog.OTHER if _OTHER_VIEW.search(layout.footer) else None
    for region in layout.regions():
        for dialog, pattern in _DIALOGS:
            if pattern.search(region):
                return dialog
    return Dialog.OTHER if any(_ANY.search(region) for region in layout.regions()[:2]) else None
