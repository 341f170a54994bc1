"""What people and programs may do to tasks and agents.

Every wish is a durable row first; then the orchestrator is poked, which would find the row by itself a little later.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from ccm_orchestrator.domain.agent import AgentView
from ccm_orchestrator.domain.audit import AuditEntry
from ccm_orchestrator.domain.dialogue import (
    RUN_ENDED,
    Message,
    MessageStatus,
    PermissionRequest,
    Verdict,
    problem_with_message,
)
from ccm_orchestrator.domain.events import BusEvent, EventKind
from ccm_orchestrator.domain.explanation import Explanation, assumed_view, explain
from ccm_orchestrator.domain.profiles import Profile
from ccm_orchestrator.domain.rules import ApprovalRule
from ccm_orchestrator.domain.run import Mode, Run, RunState, is_run_id
from ccm_orchestrator.domain.session import session_tag
from ccm_orchestrator.domain.task import DEFAULT_PROFILE, OPEN_STATUSES, NewTask, Task, TaskStatus
from ccm_orchestrator.engine.approvals import SAME_AGAIN, Approvals, RuleWish
from ccm_orchestrator.engine.bus import Bus
from ccm_orchestrator.engine.kill_switch import KillSwitch, Stopped
from ccm_orchestrator.engine.permissions import PermissionDesk
from ccm_orchestrator.engine.queues import LOCAL, Queues
from ccm_orchestrator.engine.window_answers import WindowAnswers
from ccm_orchestrator.errors import (
    Forbidden,
    InputError,
    InvalidProject,
    NotFound,
    StoreError,
    StoreUnavailable,
    TaskNotFound,
    UnknownProfile,
    WrongStatus,
)
from ccm_orchestrator.ports.acceptance import Acceptance, Accepted
from ccm_orchestrator.ports.agents import AgentDriver
from ccm_orchestrator.ports.beside import Beside
from ccm_orchestrator.ports.journal import Journal, RunQuery
from ccm_orchestrator.ports.launching import Launchpad
from ccm_orchestrator.ports.outbox import Outbox
from ccm_orchestrator.ports.tasks import Project, TaskQuery, TaskStore
from ccm_orchestrator.ports.terminal import Terminal
from ccm_orchestrator.ports.world import Clock

MAX_HISTORY_LINES = 10_000

EntryOf = Callable[[Task], AuditEntry | None]
"""What the audit log is to say of a task that is new."""


def no_entry(_task: Task) -> None:
    """Nobody asked for it, or the audit log is written elsewhere."""


@dataclass(frozen=True, slots=True)
class AgentStatus:
    run: Run
    view: AgentView
    task: Task | None
    """None: the store does not know the task any more."""
    attach: Sequence[str]
    """The command a person runs to look at the agent."""


class Control:
    """Safe to use from any event loop of the process."""

    def __init__(
        self,
        *,
        queues: Queues,
        journal: Journal,
        outbox: Outbox,
        bus: Bus,
        terminal: Terminal,
        launchpad: Launchpad,
        drivers: Mapping[str, AgentDriver],
        profiles: Mapping[str, Profile],
        approvals: Approvals,
        acceptance: Acceptance,
        clock: Clock,
        token_of: Callable[[str], str | None],
        poke: Callable[[], None],
        projects_changed: Callable[[], None] = lambda: None,
    ) -> None:
        """`token_of` gives a run's secret for its permission hook (None: it has none); `poke` is thread-safe, and so is
        `projects_changed`, which tells those who must know which projects this machine has."""
        self._queues = queues
        self._acceptance = acceptance
        self._journal = journal
        self._outbox = outbox
        self._bus = bus
        self._terminal = terminal
        self._launchpad = launchpad
        self._profiles = profiles
        self._clock = clock
        self._token_of = token_of
        self._poke = poke
        self._projects_changed = projects_changed
        self._kill_switch = KillSwitch(queues, journal, launchpad, clock, poke)
        self.approvals = approvals
        window_answers = WindowAnswers(journal, terminal, drivers, clock)
        self._desk = PermissionDesk(journal, bus, drivers, profiles, window_answers, approvals, clock, poke)

    def now(self) -> datetime:
        return self._clock.now()

    # Tasks

    async def submit(self, new: NewTask, store: str = LOCAL, entry: EntryOf = no_entry) -> Accepted:
        """The stored task, and whether it is new. An empty `profile` means the project's, else `executor`.

        The embedded store keeps the `entry` of a new task in the audit log, in the same commit.
        Raises: what `TaskStore.enqueue` raises; InputError (no such store).
        """
        queue = self._queues.named(store)
        if queue.remote:
            task, is_new = await queue.store.enqueue(await self.with_profile(new))
            accepted = Accepted(task, is_new)
            if is_new:
                await self._bus.publish(self._created(task))
        else:
            if new.profile:
                self._check_profile(new.profile)
            accepted = await self._acceptance.accept(new, lambda task: Beside((self._created(task),), entry(task)))
            if accepted.is_new:
                self._bus.wake({EventKind.TASK_CREATED})
        return accepted

    async def with_profile(self, new: NewTask) -> NewTask:
        """An empty `profile` becomes the project's, else `executor`. Raises: UnknownProfile."""
        if new.profile:
            self._check_profile(new.profile)
            return new
        projects = {project.name: project for project in await self._queues.local.projects()}
        project = projects.get(new.project)
        return replace(new, profile=(project.profile if project else None) or DEFAULT_PROFILE)

    async def stop_task(self, ref: str) -> Task:
        """Cancelled at once, or as soon as its agent has ended. Raises: TaskNotFound, WrongStatus."""
        queue, found = await self._queues.find(ref)
        task = await queue.store.cancel(found.task_id)
        if task.status is TaskStatus.CANCELLED:
            await self._publish_task(EventKind.TASK_CANCELLED, task)
        self._poke()
        return task

    async def retry_task(self, ref: str) -> Task:
        """Raises: TaskNotFound, WrongStatus."""
        queue, found = await self._queues.find(ref)
        await self._check_turn(queue.store, found)
        task = await queue.store.retry(found.task_id)
        await self._publish_task(EventKind.TASK_QUEUED, task, reason="retried")
        self._poke()
        return task

    async def release_task(self, ref: str) -> Task:
        """Raises: TaskNotFound, WrongStatus."""
        queue, found = await self._queues.find(ref)
        task = await queue.store.unhold(found.task_id)
        await self._publish_task(EventKind.TASK_QUEUED, task, reason="released")
        self._poke()
        return task

    async def add_project(self, project: Project) -> Project:
        """What its own files would do is approved separately. Raises: UnknownProfile, InvalidProject."""
        if project.profile is not None:
            self._check_profile(project.profile)
        if not project.path.is_absolute():
            raise InvalidProject(f"Expected the absolute path of a directory, got: {project.path}.")
        if not await asyncio.to_thread(project.path.is_dir):
            raise InvalidProject(f"There is no directory {project.path}.")
        resolved = replace(project, path=await asyncio.to_thread(project.path.resolve))
        added = await self._queues.local.add_project(resolved)
        self._projects_changed()
        return added

    async def remove_project(self, name: str) -> None:
        """Nothing in the directory is touched. Raises: NotFound; WrongStatus while unfinished tasks name it."""
        await self._queues.local.remove_project(name)
        self._projects_changed()

    async def drain(self, system_id: str, draining: bool = True) -> None:
        """Tells every store that knows the system.

        Raises: NotFound when none does; StoreUnavailable and its kin, with what was done, when one was not told.
        """
        unknown: list[NotFound] = []
        untold: list[StoreError] = [StoreUnavailable(why) for why in self._queues.out_of_reach.values()]
        for queue in self._queues:
            try:
                await queue.store.drain(system_id, draining)
            except NotFound as error:
                unknown.append(error)
            except StoreError as error:
                untold.append(error)
        self._poke()
        if untold:
            raise type(untold[0])(f"{untold[0].message} What else serves {system_id} was told; repeat this later.")
        if len(unknown) == len(self._queues):
            raise unknown[-1]

    async def stop_all(self, system_id: str) -> Stopped:
        """See `KillSwitch.stop_all`."""
        stopped = await self._kill_switch.stop_all(system_id)
        sentence = f"All agents of {system_id} were stopped: {', '.join(stopped.agents) or 'there were none'}."
        with contextlib.suppress(StoreError):
            data = {"message": sentence}
            await self._bus.publish(BusEvent(EventKind.DAEMON_INCIDENT, self._clock.now(), data=data))
        return stopped

    # Agents

    async def agents(self, query: RunQuery | None = None) -> Sequence[AgentStatus]:
        """Newest first; without a query those that live."""
        runs = await self._journal.runs(query or RunQuery(open_only=True))
        views = await self._journal.views([run.run_id for run in runs])
        tasks = await asyncio.gather(*(self._task_of(run) for run in runs))
        return [self._status(run, views.get(run.run_id), task) for run, task in zip(runs, tasks, strict=True)]

    async def agent(self, ref: str) -> AgentStatus:
        """Raises: RunNotFound."""
        run = await self._journal.run(ref)
        views = await self._journal.views([run.run_id])
        return self._status(run, views.get(run.run_id), await self._task_of(run))

    async def explain(self, ref: str) -> Explanation:
        """Raises: RunNotFound."""
        status = await self.agent(ref)
        return explain(status.run, status.view, self._clock.now())

    async def screen(self, ref: str, history_lines: int = 0, styled: bool = False) -> str:
        """Raises: RunNotFound, WrongStatus (no window yet), WindowGone, TerminalUnavailable."""
        run = await self._journal.run(ref)
        if run.window is None:
            raise WrongStatus(f"{run.name} has no window yet.", run_id=run.run_id)
        if not 0 <= history_lines <= MAX_HISTORY_LINES:
            raise InputError(f"Expected `history_lines` to be from 0 to {MAX_HISTORY_LINES}, got: {history_lines}.")
        return await self._terminal.capture(run.window, styled=styled, history_lines=history_lines)

    async def stop_agent(self, ref: str, kill: bool = False) -> Task:
        """Cancels the agent's task, which ends the agent patiently; `kill` ends its processes now.

        Raises: RunNotFound, TaskNotFound, WrongStatus.
        """
        run = await self._open_run(ref)
        task = await self._queues.named(run.store).store.get(run.task_id)
        if task.fence != run.fence:
            raise WrongStatus(f"{run.name} was superseded by a newer run of its task and is being ended already.")
        stopped = await self.stop_task(task.task_id)
        if kill:
            await self._launchpad.kill(run.run_id)
        return stopped

    async def send(self, ref: str, text: str, message_id: str | None = None) -> Message:
        """Queues a message, which is typed as soon as the agent can take it; one with a known id is queued once.

        Raises: RunNotFound, WrongStatus (it ended, or takes no messages), InputError (empty, too large).
        """
        if problem := problem_with_message(text):
            raise InputError(problem)
        run = await self._open_run(ref)
        if run.mode is Mode.PRINT:
            raise WrongStatus(f"{run.name} runs in print mode, which takes no messages.", run_id=run.run_id)
        message = await self._journal.add_message(run.run_id, text, message_id)
        if (await self._journal.run(run.run_id)).state is RunState.ENDED:
            if message.status is MessageStatus.QUEUED:
                await self._journal.set_message(message.message_id, MessageStatus.UNDELIVERED, RUN_ENDED)
            raise _ended(run)
        data = {"message_id": message.message_id, "status": message.status.value}
        await self._bus.publish(BusEvent(EventKind.MESSAGE, self._clock.now(), run.task_id, run.run_id, data))
        self._poke()
        return message

    async def messages(self, ref: str) -> Sequence[Message]:
        """Oldest first. Raises: RunNotFound."""
        return await self._journal.messages((await self._journal.run(ref)).run_id)

    # Permissions

    async def permissions(self, ref: str | None = None, open_only: bool = True) -> Sequence[PermissionRequest]:
        """Oldest first; of one agent, or of all. Raises: RunNotFound."""
        run_id = None if ref is None else (await self._journal.run(ref)).run_id
        return await self._journal.permissions(run_id, open_only)

    async def permission(self, request_id: str) -> PermissionRequest:
        """By id or unique prefix. Raises: PermissionNotFound."""
        return await self._journal.permission(request_id)

    async def decide(
        self, ref: str, verdict: Verdict, answers: Mapping[str, str] | None = None, wish: RuleWish = SAME_AGAIN
    ) -> PermissionRequest:
        """See `PermissionDesk.decide`."""
        return await self._desk.decide(ref, verdict, answers, wish)

    async def add_approval_rule(self, rule: ApprovalRule) -> ApprovalRule:
        """It answers what is open already, too. Raises: InputError."""
        added = await self.approvals.add(rule)
        await self._desk.apply_rules()
        return added

    async def expire_permissions(self) -> None:
        """For the orchestrator's slow sweep: requests that outlived the daemon that held them expire too, and rules
        that were made for the rest of a task go with it."""
        await self._desk.expire_due()
        await self._desk.forget_rules(self._queues.is_over)

    def check_run_token(self, run_id: str, token: str | None) -> None:
        """Raises: Forbidden."""
        known = self._token_of(run_id) if is_run_id(run_id) else None
        presented = (token or "").encode("utf-8", "surrogatepass")
        if known is None or not hmac.compare_digest(known.encode(), presented):
            raise Forbidden("The token is not that of this run.")

    async def hold_permission(
        self, run_id: str, token: str | None, payload: Mapping[str, object], hung_up: asyncio.Future[Any]
    ) -> Mapping[str, object] | None:
        """For the agent's permission hook: returns its answer as soon as there is one, None when it needs none.

        `hung_up` is done when the hook's connection is closed from its side. Cancelling leaves the request open.
        Raises: Forbidden, RunNotFound, WrongStatus, InputError.
        """
        self.check_run_token(run_id, token)
        return await self._desk.hold(await self._open_run(run_id), payload, hung_up)

    # Parts

    async def _check_turn(self, store: TaskStore, task: Task) -> None:
        """Two agents that go on with one conversation at a time would split it. Raises: WrongStatus."""
        tag = next((tag for tag in task.tags if tag.startswith(session_tag(""))), None)
        if tag is None or not task.status.terminal:
            return
        turns = await store.list(TaskQuery(statuses=OPEN_STATUSES, tag=tag, limit=1))
        if turns:
            raise WrongStatus(
                f"The session of task {task.task_id} is at work on turn {turns[0].task_id}: retry this one later."
            )

    def _check_profile(self, name: str) -> None:
        if name not in self._profiles:
            known = ", ".join(sorted(self._profiles))
            raise UnknownProfile(f"The profile {name!r} is not configured; there are: {known}.", profile=name)

    async def _open_run(self, ref: str) -> Run:
        run = await self._journal.run(ref)
        if run.state is RunState.ENDED:
            raise _ended(run)
        return run

    async def _task_of(self, run: Run) -> Task | None:
        """As its store has it. Of a store that is somewhere else: as last heard of, so that nobody waits for it.

        None: it was deleted, or is not known at the moment.
        """
        queue = self._queues.get(run.store)
        if queue is None or queue.remote:
            kept = await self._outbox.kept_task(run.run_id)
            if kept is not None or queue is None:
                return kept
        try:
            return await queue.store.get(run.task_id)
        except TaskNotFound:
            return None
        except StoreError:
            if not queue.remote:
                raise
            return None

    def _status(self, run: Run, view: AgentView | None, task: Task | None) -> AgentStatus:
        return AgentStatus(run, view or assumed_view(run), task, self._terminal.attach_argv(run.window))

    def _created(self, task: Task) -> BusEvent:
        data = {"project": task.project, "profile": task.profile}
        return BusEvent(EventKind.TASK_CREATED, self._clock.now(), task.task_id, task.run_id, data)

    async def _publish_task(self, kind: EventKind, task: Task, **data: object) -> None:
        await self._bus.publish(BusEvent(kind, self._clock.now(), task.task_id, task.run_id, data))


def _ended(run: Run) -> WrongStatus:
    return WrongStatus(f"{run.name} has ended: {run.ending or 'no reason was recorded'}", run_id=run.run_id)
