"""The settings file that one agent is started with; the user's own is never touched.

Its hooks are added to the user's. Events that only inform go through `ccm-hook` into the spool, so that a daemon that
is away costs the agent nothing; only permission requests are held by the daemon, over HTTP.
"""

from __future__ import annotations

import math
import shlex
from pathlib import Path

from ccm_orchestrator.adapters.claude.versions import Version, spooled_events
from ccm_orchestrator.domain.profiles import PermissionMode
from ccm_orchestrator.ports.agents import LaunchOrder

STATUS_FILE = "status.json"
FIRST_STATUS_FILE = "status-first.json"
"""The first status of the run: what the conversation had cost before, when it is resumed."""
HOOK_TIMEOUT_S = 10
PERMISSION_TIMEOUT_S = 7 * 24 * 3600
"""How long the agent holds a permission hook open; in milliseconds it must stay below 2**31."""
ELICITATION_MARGIN_S = 15
"""The daemon lets go before the agent does. The form is not shown while its hook runs, so this is short."""

Json = dict[str, object]


def agent_settings(order: LaunchOrder, version: Version, hook_script: Path) -> Json:
    """The contents of the settings file."""
    mode = order.profile.permission_mode
    settings: Json = {
        "permissions": {"defaultMode": mode.value, "disableAutoMode": "disable"},
        "hooks": _hooks(order, version, hook_script),
        "statusLine": {"type": "command", "command": _status_command(order)},
    }
    if mode is PermissionMode.BYPASS:
        settings["skipDangerousModePermissionPrompt"] = True
    return settings


def _hooks(order: LaunchOrder, version: Version, hook_script: Path) -> Json:
    hooks: Json = {event: [{"hooks": [_spool(order, event, hook_script)]}] for event in spooled_events(version)}
    if order.permission_url:
        hooks["PermissionRequest"] = [{"hooks": [_held(order.permission_url, PERMISSION_TIMEOUT_S)]}]
        hold_s = order.profile.elicitation_hold_s
        if hold_s > 0:
            held = _held(order.permission_url, math.ceil(hold_s) + ELICITATION_MARGIN_S)
            hooks["Elicitation"] = [{"hooks": [_spool(order, "Elicitation", hook_script), held]}]
    return hooks


def _spool(order: LaunchOrder, event: str, hook_script: Path) -> Json:
    arguments = [str(order.spool_directory), event]
    return {"type": "command", "command": str(hook_script), "args": arguments, "timeout": HOOK_TIMEOUT_S}


def _held(url: str, timeout_s: int) -> Json:
    return {
        "type": "http",
        "url": url,
        "timeout": timeout_s,
        "headers": {"Authorization": "Bearer $CCM_RUN_TOKEN"},
        "allowedEnvVars": ["CCM_RUN_TOKEN"],
    }


def _status_command(order: LaunchOrder) -> str:
    """Keeps the first and the newest status, whole or not at all, and shows the agent's name. Runs twice a turn."""
    last, first = (shlex.quote(str(order.run_directory / name)) for name in (STATUS_FILE, FIRST_STATUS_FILE))
    keep = f'umask 077; cat >"$t" && {{ [ -e {first} ] || cp "$t" {first}; }} && mv -f "$t" {last}'
    return f"t={last}.$$; {keep}; echo {shlex.quote(order.run.name)}"
