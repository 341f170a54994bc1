"""From an order to a launch: arguments, environment and files of one agent.

The prompt goes by standard input in both modes, a plain file that can hold megabytes and shows in no process list. In
interactive mode Claude Code takes it as the first prompt and reads the keyboard from its terminal.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from ccm_orchestrator.adapters.claude.prompt import prompt_bytes
from ccm_orchestrator.adapters.claude.settings_file import agent_settings
from ccm_orchestrator.adapters.claude.versions import Version
from ccm_orchestrator.domain.endings import INSTRUCTION
from ccm_orchestrator.domain.run import Mode
from ccm_orchestrator.ports.agents import LaunchOrder
from ccm_orchestrator.ports.launching import STREAM_FILE, Launch

PROMPT_FILE = "prompt.txt"
SETTINGS_FILE = "settings.json"
SYSTEM_PROMPT_FILE = "system-prompt.txt"


def launch_of(
    order: LaunchOrder, executable: Path, version: Version, hook_script: Path, env: Mapping[str, str]
) -> Launch:
    """How to start the agent that the order describes."""
    interactive = order.run.mode is Mode.INTERACTIVE
    system_prompt = _system_prompt(order)
    settings = json.dumps(agent_settings(order, version, hook_script), indent=1)
    files = {PROMPT_FILE: prompt_bytes(order.prompt, interactive), SETTINGS_FILE: settings.encode()}
    if system_prompt:
        files[SYSTEM_PROMPT_FILE] = system_prompt.encode("utf-8", "backslashreplace")
    return Launch(
        argv=[str(executable), *_arguments(order, bool(system_prompt))],
        env=env,
        cwd=order.run.cwd,
        files=files,
        stdin_file=PROMPT_FILE,
        stdout_file=None if interactive else STREAM_FILE,
        memory_limit_bytes=order.profile.memory_limit_mb * 1024 * 1024,
    )


def _arguments(order: LaunchOrder, has_system_prompt: bool) -> list[str]:
    directory = order.run_directory
    arguments = [*_print_mode(order), *_session(order), "--settings", str(directory / SETTINGS_FILE)]
    arguments += ["--permission-mode", order.profile.permission_mode.value]
    if order.model:
        arguments += ["--model", order.model]
    if order.profile.allowed_tools:
        arguments += ["--allowedTools", *order.profile.allowed_tools]
    if order.profile.disallowed_tools:
        arguments += ["--disallowedTools", *order.profile.disallowed_tools]
    if has_system_prompt:
        arguments += ["--append-system-prompt-file", str(directory / SYSTEM_PROMPT_FILE)]
    return [*arguments, *order.flags]


def _print_mode(order: LaunchOrder) -> list[str]:
    if order.run.mode is Mode.INTERACTIVE:
        return ["--name", order.run.name]
    budget = [] if order.budget_usd is None else ["--max-budget-usd", f"{order.budget_usd:.6f}"]
    return ["--print", "--output-format", "stream-json", "--verbose", *budget]


def _session(order: LaunchOrder) -> list[str]:
    if order.run.session_id is None:
        return []
    return ["--resume" if order.run.resumed else "--session-id", order.run.session_id]


def _system_prompt(order: LaunchOrder) -> str:
    marker = INSTRUCTION if order.profile.end_marker else ""
    return "\n\n".join(part for part in (order.profile.system_prompt.strip(), marker) if part)
