"""Sessions: each turn is a task of the embedded store, so it runs in a window and outlives the daemon."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from ccm_orchestrator.domain import refusals
from ccm_orchestrator.domain.made_ids import of_key
from ccm_orchestrator.domain.options import RunOptions
from ccm_orchestrator.domain.profiles import Profile
from ccm_orchestrator.domain.session import Session, SpawnWish, Turn, TurnWish, problem_with_session, session_tag
from ccm_orchestrator.domain.task import OPEN_STATUSES, NewTask, Task
from ccm_orchestrator.engine.bus import Bus
from ccm_orchestrator.engine.control import Control
from ccm_orchestrator.errors import InputError, NotFound, UnknownProject, WrongStatus
from ccm_orchestrator.ports.agents import AgentDriver
from ccm_orchestrator.ports.sessions import SessionStore
from ccm_orchestrator.ports.tasks import TaskQuery, TaskStore
from ccm_orchestrator.ports.world import Clock

SOURCE = "spawn"
MOST_OPEN = 1000
GENTLE_S = 5.0
"""How long an agent has to end by itself when its session is terminated."""
FORCED_S = 10.0
"""How long it may take after that, when it is killed."""
LOOK_S = 0.5


@dataclass(frozen=True, slots=True)
class Begun:
    """A turn that was accepted."""

    session: Session
    turn: Turn
    task: Task
    behind: int
    """Turns of the session that must end first."""


class Sessions:
    """Belongs to one event loop, which gives the turns of a session their order."""

    def __init__(
        self,
        store: SessionStore,
        tasks: TaskStore,
        control: Control,
        bus: Bus,
        drivers: Mapping[str, AgentDriver],
        profiles: Mapping[str, Profile],
        clock: Clock,
    ) -> None:
        self.store = store
        self._tasks = tasks
        self._control = control
        self._bus = bus
        self._drivers = drivers
        self._profiles = profiles
        self._clock = clock
        self._order = asyncio.Lock()

    async def spawn(self, wish: SpawnWish, owner: str | None, key: str | None = None) -> Begun:
        """A new session with its first turn. Whoever repeats the call with the same key gets the same ones.

        Raises: InputError and its kin: UnknownProject, UnknownProfile, InvalidTask, QueueFull; WrongStatus when the key
        was used for something else.
        """
        digest = _digest(owner, "spawn", key)
        session_id = str(uuid.UUID(digest, version=4)) if digest else str(uuid.uuid4())
        session, driver = await self._designed(session_id, wish, owner)
        async with self._order:
            return await self._take_turn(session, wish.turn, driver, digest)

    async def adopt(self, session_id: str, wish: SpawnWish, key: str | None = None) -> Begun:
        """A session that goes on with a conversation which the agent keeps, but which was not begun here.

        Raises: SessionNotFound when there is none; what `spawn` raises.
        """
        digest = _digest(None, session_id, key)
        session, driver = await self._designed(session_id, replace(wish, one_shot=False), None)
        if not await driver.has_conversation(session_id):
            raise refusals.session_not_found(session_id)
        async with self._order:
            return await self._take_turn(session, wish.turn, driver, digest, resume=True)

    async def message(self, session_id: str, wish: TurnWish, key: str | None = None) -> Begun:
        """The session's next turn, which waits for those before it.

        Raises: SessionNotFound; WrongStatus for a session that takes no messages; what `spawn` raises.
        """
        session = await self.store.get(session_id)
        if session.one_shot:
            raise WrongStatus("The session takes no messages: it was begun without `create_session`.")
        driver = self._driver(session.profile)
        digest = _digest(session.owner, session_id, key)
        async with self._order:
            return await self._take_turn(session, wish, driver, digest)

    async def terminate(self, session_id: str) -> bool:
        """Cancels all its turns and ends its agent, by force if need be; False when that is still under way.

        Raises: SessionNotFound, NotFound when nothing runs.
        """
        await self.store.get(session_id)
        tasks = await self.open_turns(session_id)
        if not tasks:
            raise NotFound(f"Nothing runs in session {session_id}.", session_id=session_id)
        for task in reversed(tasks):  # none may begin because the one before it ends
            with suppress(WrongStatus):
                await self._control.stop_task(task.task_id)
        if await self._ended(session_id, GENTLE_S):
            return True
        for task in await self.open_turns(session_id):
            if task.run_id is not None:
                with suppress(WrongStatus, NotFound):
                    await self._control.stop_agent(task.run_id, kill=True)
        return await self._ended(session_id, FORCED_S)

    async def open_turns(self, session_id: str | None = None) -> Sequence[Task]:
        """Tasks of the session, or of all, that have not ended; oldest first."""
        tag = session_tag(session_id) if session_id else None
        tasks = await self._tasks.list(TaskQuery(statuses=OPEN_STATUSES, tag=tag, limit=MOST_OPEN))
        return [task for task in reversed(tasks) if task.source == SOURCE]

    async def _ended(self, session_id: str, limit_s: float) -> bool:
        deadline_s = self._clock.uptime_s() + limit_s
        while await self.open_turns(session_id):
            if self._clock.uptime_s() >= deadline_s:
                return False
            await self._bus.wait(LOOK_S)
        return True

    async def _take_turn(
        self, session: Session, wish: TurnWish, driver: AgentDriver, task_id: str | None, resume: bool = False
    ) -> Begun:
        """The task comes first: the turns that are open are known by their tasks alone."""
        before = [task for task in await self.open_turns(session.session_id) if task.task_id != task_id]
        new = self._task(session, wish, driver, task_id, resume, tuple(task.task_id for task in before))
        accepted = await self._control.submit(new)
        task = accepted.task
        if not accepted.is_new and (task.prompt, task.project) != (new.prompt, new.project):
            raise WrongStatus(f"The Idempotency-Key was used for task {task.task_id}, which asks for something else.")
        await self.store.add(session)
        turn, _ = await self.store.add_turn(session.session_id, task.task_id, self._clock.now())
        return Begun(await self.store.get(session.session_id), turn, task, len(before))

    def _task(
        self,
        session: Session,
        wish: TurnWish,
        driver: AgentDriver,
        task_id: str | None,
        resume: bool,
        after: tuple[str, ...],
    ) -> NewTask:
        kept = session.options
        tools = kept.allowed_tools if wish.tools is None else wish.tools
        flags = driver.checked_flags(kept.flags if wish.flags is None else wish.flags, tools)
        append = kept.system_prompt if wish.system_append is None else wish.system_append
        options = replace(kept, resume=resume, allowed_tools=tools, flags=flags, system_prompt=append)
        return NewTask(
            project=session.project,
            prompt=wish.prompt,
            profile=session.profile,
            after=after,
            max_attempts=1,
            time_limit_s=wish.time_limit_s,
            budget_usd=wish.budget_usd,
            model=wish.model or session.model,
            tags=(session_tag(session.session_id),),
            source=SOURCE,
            task_id=task_id,
            owner=session.owner,
            options=options,
        )

    async def _designed(self, session_id: str, wish: SpawnWish, owner: str | None) -> tuple[Session, AgentDriver]:
        """The session as it would be stored; nothing is stored yet."""
        project = wish.project or await self._only_project()
        profile = (await self._control.with_profile(NewTask(project, wish.turn.prompt, wish.profile))).profile
        driver, now = self._driver(profile), self._clock.now()
        options = RunOptions(
            session_id=session_id,
            print_mode=True,
            allowed_tools=wish.turn.tools,
            system_prompt=wish.turn.system_append or "",
            flags=wish.turn.flags or (),
        )
        model, one_shot = wish.turn.model, wish.one_shot
        session = Session(
            session_id, wish.agent_type, project, profile, now, now, owner, one_shot, model=model, options=options
        )
        if problem := problem_with_session(session):
            raise InputError(problem)
        return session, driver

    async def _only_project(self) -> str:
        names = [project.name for project in await self._tasks.projects()]
        if not names:
            raise UnknownProject("No project is registered; add one with `ccm-orchestrator project add PATH`.")
        if len(names) > 1:
            raise UnknownProject(f"Say in which `project` the agent is to work; there are: {', '.join(names)}.")
        return names[0]

    def _driver(self, profile: str) -> AgentDriver:
        driver = self._drivers.get(self._profiles[profile].driver) if profile in self._profiles else None
        if driver is None or not driver.has_sessions:
            raise InputError(
                f"The agent of profile {profile!r} keeps no sessions; name a profile of Claude Code's.",
                profile=profile,
            )
        return driver


def _digest(owner: str | None, of: str, key: str | None) -> str | None:
    """The id of the task that a key stands for, so that a repeated call finds it; None without a key."""
    return of_key(key, "session", owner or "", of)
