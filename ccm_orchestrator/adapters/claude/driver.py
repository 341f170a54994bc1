"""The driver of Claude Code: what the engine may ask, answered by the modules beside this one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from ccm_orchestrator.adapters.claude.argv import launch_of
from ccm_orchestrator.adapters.claude.dialog_keys import dialog_key
from ccm_orchestrator.adapters.claude.environment import agent_environment
from ccm_orchestrator.adapters.claude.flags import allowed_flags, flags_for_tools
from ccm_orchestrator.adapters.claude.hooks import read_hook
from ccm_orchestrator.adapters.claude.messages import awaits_enter, message_keys
from ccm_orchestrator.adapters.claude.nested_skills import NestedSkills
from ccm_orchestrator.adapters.claude.observation import observe
from ccm_orchestrator.adapters.claude.paths import config_paths, launched_paths
from ccm_orchestrator.adapters.claude.permissions import permission_answer, read_permission
from ccm_orchestrator.adapters.claude.project_files import ProjectFiles
from ccm_orchestrator.adapters.claude.readiness import Projects, Readiness
from ccm_orchestrator.adapters.claude.reporting import report
from ccm_orchestrator.adapters.claude.saying import said_since
from ccm_orchestrator.adapters.claude.screen import read_screen
from ccm_orchestrator.adapters.claude.transcript import has_conversation
from ccm_orchestrator.domain.agent import Evidence
from ccm_orchestrator.domain.dialogue import PermissionRequest, Verdict
from ccm_orchestrator.domain.events import HookRecord
from ccm_orchestrator.domain.run import Mode, Run
from ccm_orchestrator.domain.trust import Risk
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


class ClaudeDriver:
    """One per daemon: it remembers the executable's release, whether there is a login, and listings. No runs."""

    name = "claude"
    exit_means_done = False
    has_sessions = True

    def __init__(
        self,
        executable: str | Path,
        environment: Mapping[str, str],
        hook_script: Path,
        projects: Projects,
    ) -> None:
        """`executable`: a path, or a name to look for; `environment`: the daemon's; `hook_script`: `hooks/ccm-hook`;
        `projects`: gives the directories of all registered projects."""
        self._environment = dict(environment)
        self._hook_script = hook_script
        self._readiness = Readiness(executable, self._environment, projects)
        self._paths = config_paths(self._environment)
        self._project_files = ProjectFiles(NestedSkills(self._environment), self._paths.directory)

    async def probe(self) -> DriverHealth:
        return await self._readiness.health()

    async def prepare(self, order: LaunchOrder) -> Launch:
        env = agent_environment(self._environment, order)
        executable, version = await self._readiness.require(order, env)
        return launch_of(order, executable, version, self._hook_script, env)

    async def risks(self, directory: Path) -> Sequence[Risk]:
        return await asyncio.to_thread(self._project_files.risks, directory)

    async def resumable(self, run: Run) -> bool:
        if run.session_id is None:
            return False
        answered = run.mode is Mode.INTERACTIVE  # print mode goes on with a prompt that was never answered, too
        return await asyncio.to_thread(has_conversation, self._paths.directory / "projects", run.session_id, answered)

    async def has_conversation(self, session_id: str) -> bool:
        return await asyncio.to_thread(has_conversation, self._paths.directory / "projects", session_id, answered=False)

    def checked_flags(self, flags: Sequence[str], tools: Sequence[str] | None) -> tuple[str, ...]:
        return (*allowed_flags(flags), *flags_for_tools(tools))

    def registry_directory(self) -> Path | None:
        return self._paths.sessions

    def read_hook(self, record: HookRecord, task_id: str) -> Reading:
        return read_hook(record, task_id)

    async def observe(self, trace: SessionTrace) -> Sequence[Evidence]:
        return await asyncio.to_thread(observe, trace, launched_paths(trace.run_directory, self._paths))

    async def said(self, trace: SessionTrace, place: int | None) -> tuple[Sequence[str], int]:
        if trace.transcript_path is None:
            return (), place or 0
        return await asyncio.to_thread(said_since, Path(trace.transcript_path), place)

    def read_screen(self, screen: str, at: datetime, run_id: str) -> Evidence | None:
        return read_screen(screen, at)

    def message_keys(self, text: str, screen: str) -> Sequence[str | Key]:
        return message_keys(text, screen)

    def awaits_enter(self, text: str, screen: str) -> bool | None:
        return awaits_enter(text, screen)

    def permission_answer(self, request: PermissionRequest, verdict: Verdict) -> Mapping[str, object]:
        return permission_answer(request, verdict)

    def dialog_key(self, request: PermissionRequest, verdict: Verdict, screen: str) -> str | Key | None:
        return dialog_key(request, verdict, screen)

    def read_permission(self, payload: Mapping[str, object]) -> AskedPermission:
        return read_permission(payload)

    async def report(self, trace: SessionTrace, readings: Sequence[Reading]) -> Report:
        paths = launched_paths(trace.run_directory, self._paths)
        return await asyncio.to_thread(report, trace, readings, paths)
