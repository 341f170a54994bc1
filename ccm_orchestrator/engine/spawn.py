"""From a claim to an agent in a window, safe at every line: steps 2 to 4 of the spawn protocol."""

from __future__ import annotations

import asyncio
import logging
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ccm_orchestrator.domain.events import EventKind
from ccm_orchestrator.domain.options import RunOptions
from ccm_orchestrator.domain.profiles import Profile
from ccm_orchestrator.domain.result import FailureKind
from ccm_orchestrator.domain.run import Mode, Run, RunState, WindowRef
from ccm_orchestrator.domain.task import Hold, Task
from ccm_orchestrator.domain.trust import unapproved, untrusted_hold
from ccm_orchestrator.engine.ending import Ending
from ccm_orchestrator.engine.failpoints import SPAWN_INTENDED, SPAWN_LAUNCHED, SPAWN_OPENED, SPAWN_PREPARED
from ccm_orchestrator.engine.lingering import note_prompt, work_of
from ccm_orchestrator.engine.live import LiveRun
from ccm_orchestrator.engine.parts import Parts
from ccm_orchestrator.engine.queues import Queue
from ccm_orchestrator.engine.trust import risks_in
from ccm_orchestrator.errors import (
    DriverError,
    InputError,
    InvalidSettings,
    StoreUnavailable,
    TerminalError,
    TerminalUnavailable,
    TmuxMissing,
)
from ccm_orchestrator.ports.agents import AgentDriver, LaunchOrder
from ccm_orchestrator.ports.journal import RunQuery
from ccm_orchestrator.ports.launching import Launch
from ccm_orchestrator.ports.tasks import Project

log = logging.getLogger(__name__)

CONTINUE_PROMPT = (
    "The machine lost this session while you were working. Check what is already done, then finish the task. "
    "It was:\n\n{prompt}"
)


class CannotSpawn(Exception):
    """The task cannot be carried out here as it stands; `ending` says why."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.sentence)
        self.ending = ending


class NotApproved(CannotSpawn):
    """The files of the directory would do what nobody has approved; a person must first."""

    def __init__(self, hold: Hold) -> None:
        super().__init__(replace(Ending.failed(FailureKind.SETUP, hold.detail), hold=hold))


async def intend(parts: Parts, term: int, task: Task, queue: Queue) -> LiveRun:
    """Commits the run before anything is started. Raises: CannotSpawn, StaleTerm, StoreUnavailable."""
    project = await _project(parts, task)
    path = await _own_directory(task) or project.path
    await require_approval(parts, project, path)
    profile = _profile(parts, task, project.path)
    profile = with_options(profile, task.options)
    driver = _driver(parts, profile)
    earlier = await parts.journal.runs(RunQuery(task_id=task.task_id, limit=1))
    resume = bool(earlier) and await _resumable(driver, earlier[0], profile, path)
    run = _new_run(parts, term, task, profile, path, earlier[0] if earlier else None, resume)
    if run.session_id is not None and task.options is not None and task.options.session_id is not None:
        run = replace(run, resumed=run.resumed or await driver.resumable(run))
    run = replace(run, store=queue.name)
    if queue.remote:
        await parts.outbox.keep_task(run.run_id, task)
    live = LiveRun(parts, term, run, task, profile, driver)
    await live.save()
    parts.reach(SPAWN_INTENDED)
    return live


def _new_run(
    parts: Parts, term: int, task: Task, profile: Profile, path: Path, earlier: Run | None, resume: bool
) -> Run:
    wish = task.options or RunOptions()
    session_id = earlier.session_id if earlier and resume else wish.session_id or str(uuid.uuid4())
    return Run(
        run_id=secrets.token_hex(16),
        task_id=task.task_id,
        fence=task.fence,
        attempt=task.attempt,
        term=term,
        state=RunState.INTENDED,
        project=task.project,
        cwd=path,
        profile=profile.name,
        driver=profile.driver,
        mode=profile.mode,
        session_id=session_id,
        resumed=resume or wish.resume,
        created_at=parts.clock.now(),
        owner=task.owner,
        daemon_deaths=earlier.daemon_deaths if earlier else 0,
    )


async def _resumable(driver: AgentDriver, earlier: Run, profile: Profile, path: Path) -> bool:
    """What the machine lost is resumed; an attempt that failed by itself starts afresh."""
    lost = earlier.failure_kind is not None and (
        earlier.failure_kind.infrastructure or earlier.failure_kind is FailureKind.USAGE_LIMIT
    )
    same = (earlier.driver, earlier.mode, earlier.cwd) == (profile.driver, profile.mode, path)
    return lost and same and earlier.session_id is not None and await driver.resumable(earlier)


async def launch(live: LiveRun) -> None:
    """Opens the window. Raises: CannotSpawn, StaleTerm."""
    try:
        await _launch(live)
    except TmuxMissing as error:
        raise CannotSpawn(Ending.failed(FailureKind.SETUP, error.message)) from error
    except TerminalError as error:
        raise CannotSpawn(Ending.failed(FailureKind.SPAWN, error.message)) from error
    except (DriverError, InputError) as error:
        raise CannotSpawn(Ending.failed(FailureKind.SETUP, error.message)) from error
    except StoreUnavailable as error:
        raise CannotSpawn(Ending.failed(FailureKind.SPAWN, error.message)) from error


async def _launch(live: LiveRun) -> None:
    parts, run = live.parts, live.run
    launch = await _prepare(live)
    argv = await parts.launchpad.prepare(run.run_id, live.term, launch)
    parts.reach(SPAWN_PREPARED)
    parts.watch.add_run(run.run_id)
    registry = live.driver.registry_directory()
    if registry is not None:
        parts.watch.add_registry(registry)
    live.check_term()
    await note_prompt(live)
    await require_approval(parts, await _project(parts, live.task), run.cwd)  # the last moment at which we can say no
    base_commit = asyncio.ensure_future(parts.workspace.base_commit(run.cwd))
    window = await _open(live, argv)
    parts.reach(SPAWN_OPENED)
    await live.save(state=RunState.LAUNCHED, window=window, base_commit=await base_commit)
    parts.reach(SPAWN_LAUNCHED)
    await live.publish(EventKind.AGENT_STATE, state=live.tracker.view.state, agent=run.name)


async def _open(live: LiveRun, argv: Sequence[str]) -> WindowRef:
    """A tmux that was not there, or died since, is started. Opening twice starts one agent: there is one ticket."""
    terminal, run_id = live.parts.terminal, live.run.run_id
    try:
        return await terminal.open_window(run_id, argv)
    except TerminalUnavailable as error:
        log.warning("starting tmux anew: %s", error.message)
        await terminal.start()
        live.check_term()
        return await terminal.open_window(run_id, argv)


async def _prepare(live: LiveRun) -> Launch:
    parts, run, task = live.parts, live.run, live.task
    await require_approval(parts, await _project(parts, task), run.cwd)  # waiting for the lease may have taken long
    health = await live.driver.probe()
    if not health.ok:
        raise CannotSpawn(Ending.failed(FailureKind.SETUP, health.detail))
    directory = parts.launchpad.directory(run.run_id)
    work = await work_of(live)
    lost = run.resumed and run.session_id == await _session_lost(parts, run)
    prompt = CONTINUE_PROMPT.format(prompt=work) if lost else work
    order = LaunchOrder(
        run=run,
        prompt=prompt,
        profile=live.profile,
        model=task.model or live.profile.model,
        budget_usd=task.budget_usd or live.profile.budget_usd,
        run_directory=directory,
        spool_directory=parts.launchpad.spool_directory(run.run_id),
        permission_url=parts.permission_url(run.run_id),
        token=parts.run_token(run.run_id),
        flags=task.options.flags if task.options else (),
    )
    return await live.driver.prepare(order)


async def _session_lost(parts: Parts, run: Run) -> str | None:
    """The conversation that an earlier run of this task had begun."""
    runs = await parts.journal.runs(RunQuery(task_id=run.task_id, limit=2))
    return next((other.session_id for other in runs if other.run_id != run.run_id), None)


def with_options(profile: Profile, options: RunOptions | None) -> Profile:
    """The profile as one task changes it. An agent that stays for messages ends no work by a marker."""
    if options is None:
        return profile
    mode = {None: profile.mode, True: Mode.PRINT, False: Mode.INTERACTIVE}[options.print_mode]
    tools = profile.allowed_tools if options.allowed_tools is None else options.allowed_tools
    prompts = [text for text in (profile.system_prompt.strip(), options.system_prompt.strip()) if text]
    changed = replace(profile, mode=mode, allowed_tools=tools, system_prompt="\n\n".join(prompts))
    return replace(changed, end_marker=False) if options.linger_s > 0 else changed


async def _own_directory(task: Task) -> Path | None:
    """None: it works in its project's directory."""
    directory = task.options.directory if task.options else None
    if directory is not None and not await asyncio.to_thread(_is_directory, directory):
        detail = f"The agent's own directory {directory} is gone; restore it, or delete the agent."
        raise CannotSpawn(Ending.failed(FailureKind.SETUP, detail))
    return directory


async def _project(parts: Parts, task: Task) -> Project:
    for project in await parts.queues.local.projects():  # what is registered on this machine is trusted, nothing else
        if project.name == task.project:
            if await asyncio.to_thread(_is_directory, project.path):
                return project
            detail = f"The directory of project `{project.name}`, {project.path}, is gone; restore it or register anew."
            raise CannotSpawn(Ending.failed(FailureKind.SETUP, detail))
    detail = f"The project `{task.project}` is not registered here; run `ccm-orchestrator project add PATH`."
    raise CannotSpawn(Ending.failed(FailureKind.SETUP, detail))


async def require_approval(parts: Parts, project: Project, directory: Path) -> None:
    """Of the files as they are in the directory at this moment. Raises: NotApproved."""
    risks = await risks_in(parts.drivers, directory)
    if risks and (new := unapproved(risks, await parts.trust.approved(project.name, project.path))):
        raise NotApproved(untrusted_hold(project.name, new))


async def is_approved(parts: Parts, task: Task) -> bool:
    """Nothing that this task would be started with waits for a person's approval, by now."""
    try:
        project = await _project(parts, task)
        await require_approval(parts, project, await _own_directory(task) or project.path)
    except CannotSpawn:
        return False
    return True


def _is_directory(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a dead mount, a directory above that may not be searched
        return False


def _profile(parts: Parts, task: Task, path: Path) -> Profile:
    try:
        profiles = parts.project_profiles(path) if parts.project_profiles else parts.profiles
    except InvalidSettings as error:
        raise CannotSpawn(Ending.failed(FailureKind.SETUP, error.message)) from error
    profile = profiles.get(task.profile)
    if profile is None:
        known = ", ".join(sorted(profiles))
        detail = f"The profile `{task.profile}` is not configured; there are: {known}."
        raise CannotSpawn(Ending.failed(FailureKind.SETUP, detail))
    return profile


def _driver(parts: Parts, profile: Profile) -> AgentDriver:
    driver = parts.drivers.get(profile.driver)
    if driver is None:
        known = ", ".join(sorted(parts.drivers))
        detail = f"The profile `{profile.name}` names the driver `{profile.driver}`; there are: {known}."
        raise CannotSpawn(Ending.failed(FailureKind.SETUP, detail))
    return driver
