"""Any command line agent: it gets a prompt, and ends with a marker on its screen or with its process.

In interactive mode the command has the window's terminal for itself, and its screen is looked at from time to time. In
print mode its standard output is kept in the run directory and read there: nothing that was printed right before the
end is missed, and it becomes the text of the result.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import psutil

from ccm_orchestrator.adapters.generic.markers import (
    FoundMarker,
    done_marker,
    error_marker,
    find_marker,
    instruction,
    without_markers,
)
from ccm_orchestrator.adapters.generic.output import OUTPUT_FILE, last_written, output_text
from ccm_orchestrator.domain.agent import Evidence, Signal, Source
from ccm_orchestrator.domain.dialogue import PermissionRequest, Verdict
from ccm_orchestrator.domain.events import BusEvent, EventKind, HookRecord
from ccm_orchestrator.domain.result import Usage
from ccm_orchestrator.domain.run import Mode, Run
from ccm_orchestrator.domain.trust import Risk
from ccm_orchestrator.errors import AgentMissing, DriverError, InputError, InvalidProject, InvalidSettings
from ccm_orchestrator.ports.agents import (
    AskedPermission,
    DriverHealth,
    LaunchOrder,
    Reading,
    Report,
    SessionTrace,
)
from ccm_orchestrator.ports.launching import Launch
from ccm_orchestrator.ports.terminal import Key

PROMPT_FILE = "prompt.txt"
PROMPT_PLACEHOLDER = "{prompt_file}"
DONE_PLACEHOLDER = "{marker_done}"
ERROR_PLACEHOLDER = "{marker_error}"
_ALLOWED = """
    PATH HOME USER LOGNAME SHELL LANG LANGUAGE TZ TMPDIR SSH_AUTH_SOCK
    XDG_CONFIG_HOME XDG_CACHE_HOME XDG_DATA_HOME XDG_STATE_HOME XDG_RUNTIME_DIR
    HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY http_proxy https_proxy all_proxy no_proxy
    SSL_CERT_FILE SSL_CERT_DIR NODE_EXTRA_CA_CERTS REQUESTS_CA_BUNDLE CURL_CA_BUNDLE
"""
_INHERITED = frozenset(_ALLOWED.split())


class GenericDriver:
    """Starts `profile.command`. Its prompt comes in `{prompt_file}`, or on standard input when the command has no such
    word. A command that names `{marker_done}` or `{marker_error}` prints the markers itself; any other's prompt ends
    with the request to print them. Whatever else the agent needs of the environment, keys above all, is in the
    profile's `env`."""

    name = "generic"
    exit_means_done = True
    has_sessions = False

    def __init__(self, environment: Mapping[str, str]) -> None:
        """`environment`: the daemon's, of which an agent gets an allow-list."""
        self._environment = {
            name: value for name, value in environment.items() if name in _INHERITED or name.startswith("LC_")
        }

    async def probe(self) -> DriverHealth:
        """Always fine: what is missing is only known with the profile."""
        return DriverHealth(ok=True, executable=None, version="", detail="")

    async def prepare(self, order: LaunchOrder) -> Launch:
        """Raises: InvalidSettings (no command), AgentMissing, InvalidProject (directory gone)."""
        env = self._env(order)
        program = _program(order, env["PATH"])
        run_id, command = order.run.run_id, order.profile.command
        words = {
            PROMPT_PLACEHOLDER: str(order.run_directory / PROMPT_FILE),
            DONE_PLACEHOLDER: done_marker(run_id),
            ERROR_PLACEHOLDER: error_marker(run_id),
        }
        return Launch(
            argv=[program, *(_replaced(word, words) for word in command[1:])],
            env=env,
            cwd=order.run.cwd,
            files={PROMPT_FILE: _prompt(order).encode("utf-8", "backslashreplace")},
            stdin_file=None if _names(command, PROMPT_PLACEHOLDER) else PROMPT_FILE,
            stdout_file=OUTPUT_FILE if order.run.mode is Mode.PRINT else None,
            memory_limit_bytes=order.profile.memory_limit_mb * 1024 * 1024,
        )

    async def risks(self, directory: Path) -> Sequence[Risk]:
        return ()

    async def resumable(self, run: Run) -> bool:
        return False

    async def has_conversation(self, session_id: str) -> bool:
        return False

    def checked_flags(self, flags: Sequence[str], tools: Sequence[str] | None) -> tuple[str, ...]:
        if flags or tools is not None:
            raise InputError("A generic agent's command line is in its profile: it takes neither flags nor tools.")
        return ()

    def registry_directory(self) -> Path | None:
        return None

    def read_hook(self, record: HookRecord, task_id: str) -> Reading:
        data = {"hook_event_name": record.hook_event_name, "size": len(record.raw)}
        return Reading((), (BusEvent(EventKind.HOOK, record.at, task_id, record.run_id, data),))

    async def observe(self, trace: SessionTrace) -> Sequence[Evidence]:
        """Its process has its prompt and works; what it writes is its sign of life."""
        return await asyncio.to_thread(_observe, trace)

    async def said(self, trace: SessionTrace, place: int | None) -> tuple[Sequence[str], int]:
        return (), 0

    def read_screen(self, screen: str, at: datetime, run_id: str) -> Evidence | None:
        found = find_marker(screen, run_id)
        return _marked(found, Source.SCREEN, at) if found else None

    def message_keys(self, text: str, screen: str) -> Sequence[str | Key]:
        """On one line: what a newline does in an unknown program is unknown."""
        return [" ".join(text.split()), Key.ENTER]

    def awaits_enter(self, text: str, screen: str) -> bool | None:
        return None

    def permission_answer(self, request: PermissionRequest, verdict: Verdict) -> Mapping[str, object]:
        raise DriverError(f"Agents of the driver `{self.name}` ask nothing that could be answered from here.")

    def dialog_key(self, request: PermissionRequest, verdict: Verdict, screen: str) -> str | Key | None:
        return None

    def read_permission(self, payload: Mapping[str, object]) -> AskedPermission:
        raise ValueError(f"Agents of the driver `{self.name}` have no permission hook.")

    async def report(self, trace: SessionTrace, readings: Sequence[Reading]) -> Report:
        """The text is what it printed last, in print mode; what it cost is unknown."""
        text = await asyncio.to_thread(output_text, trace.run_directory)
        return Report(without_markers(text, trace.run.run_id), Usage(), None, None)

    def _env(self, order: LaunchOrder) -> dict[str, str]:
        run_id = order.run.run_id
        return {
            "TERM": "xterm-256color",
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            **self._environment,
            **order.profile.env,
            **({"CCM_MODEL": order.model} if order.model else {}),
            "CCM_RUN_ID": run_id,
            "CCM_TASK_ID": order.run.task_id,
            "CCM_PROMPT_FILE": str(order.run_directory / PROMPT_FILE),
            "CCM_MARKER_DONE": done_marker(run_id),
            "CCM_MARKER_ERROR": error_marker(run_id),
        }


def _program(order: LaunchOrder, path: str) -> str:
    profile, cwd = order.profile, order.run.cwd
    if not profile.command:
        raise InvalidSettings(
            f"The profile `{profile.name}` uses the driver `generic` but has no `command`; set it in the configuration."
        )
    if not cwd.is_dir():
        raise InvalidProject(f"The directory of project `{order.run.project}`, {cwd}, is gone.")
    name = profile.command[0]
    program = shutil.which(str(cwd / name) if "/" in name else name, path=path)
    if program is None:
        raise AgentMissing(
            f"The command `{name}` of the profile `{profile.name}` was not found; install it, or give its whole path."
        )
    return program


def _prompt(order: LaunchOrder) -> str:
    parts = [order.profile.system_prompt.strip(), order.prompt]
    if not _names(order.profile.command, DONE_PLACEHOLDER, ERROR_PLACEHOLDER):
        parts.append(instruction(order.run.run_id))
    return "\n\n".join(part for part in parts if part) + "\n"


def _names(command: Sequence[str], *placeholders: str) -> bool:
    return any(placeholder in word for word in command for placeholder in placeholders)


def _replaced(word: str, words: Mapping[str, str]) -> str:
    for placeholder, value in words.items():
        word = word.replace(placeholder, value)
    return word


def _observe(trace: SessionTrace) -> Sequence[Evidence]:
    """An agent that printed its marker or ended is not busy any more."""
    if trace.agent is None or trace.run.started_at is None:
        return ()
    written = last_written(trace.run_directory, trace.agent.pid)
    wrote = [Evidence(Source.SCREEN, Signal.ACTIVE, written, "it wrote something")] if written else []
    found = find_marker(output_text(trace.run_directory), trace.run.run_id)
    if found and written:
        return [*wrote, _marked(found, Source.STREAM, written)]
    if not psutil.pid_exists(trace.agent.pid):
        return wrote
    return [Evidence(Source.LAUNCHER, Signal.BUSY, trace.run.started_at, "its process has its prompt"), *wrote]


def _marked(found: FoundMarker, source: Source, at: datetime) -> Evidence:
    signal = Signal.MARKER_DONE if found.done else Signal.MARKER_ERROR
    return Evidence(source, signal, at.astimezone(UTC), found.detail)
