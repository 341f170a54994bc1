"""The client whose methods are awaited."""

from __future__ import annotations

import asyncio
import ssl
import time
from pathlib import Path
from typing import Self

import httpx

from ccm_orchestrator.client.address import of_this_machine
from ccm_orchestrator.client.administration import Budget, Stopped
from ccm_orchestrator.client.answers import Health, Profile, Status, Task
from ccm_orchestrator.client.call import Answer, Call
from ccm_orchestrator.client.calls import administration, agents, events, machines, rules, sessions, standing, tasks
from ccm_orchestrator.client.carriers import AwaitingCarrier
from ccm_orchestrator.client.faces import Awaited, AwaitedGroup, AwaitedPages, AwaitedStream
from ccm_orchestrator.client.patience import Patience
from ccm_orchestrator.client.waiting import Waiting
from ccm_orchestrator.errors import DaemonUnreachable, StoreUnavailable


class Tasks(AwaitedGroup):
    add = Awaited(tasks.add)
    list = AwaitedPages(tasks.find)
    page = Awaited(tasks.find)
    show = Awaited(tasks.show)
    stop = Awaited(tasks.stop)
    retry = Awaited(tasks.retry)
    release = Awaited(tasks.release)
    events = AwaitedPages(tasks.events)

    async def wait(self, task: str, timeout_s: float | None = None) -> Task:
        """Until it has ended, or is held for a person. Raises: WaitTimeout, TaskNotFound, DaemonUnreachable."""
        waiting = Waiting(task, timeout_s, self._carrier.patience, time.monotonic())
        while True:
            try:
                found = await self._carrier.carry(tasks.look(task, waiting.look_s(time.monotonic())))
            except (DaemonUnreachable, StoreUnavailable) as error:
                waiting.missed(error, time.monotonic())
            else:
                if waiting.answered(found, time.monotonic()):
                    return found
            await asyncio.sleep(waiting.pause_s(time.monotonic()))


class Agents(AwaitedGroup):
    list = AwaitedPages(agents.find)
    page = Awaited(agents.find)
    show = Awaited(agents.show)
    explain = Awaited(agents.explain)
    screen = Awaited(agents.screen)
    watch = AwaitedStream(agents.watch)
    stop = Awaited(agents.stop)
    messages = Awaited(agents.messages)
    message = Awaited(agents.message)
    send = Awaited(agents.send)


class Permissions(AwaitedGroup):
    list = AwaitedPages(agents.permissions)
    page = Awaited(agents.permissions)
    show = Awaited(agents.permission)
    allow = Awaited(agents.allow)
    deny = Awaited(agents.deny)


class Events(AwaitedGroup):
    follow = AwaitedStream(events.follow)
    list = AwaitedPages(events.stored)
    page = Awaited(events.stored)


class Sessions(AwaitedGroup):
    spawn = AwaitedStream(sessions.spawn)
    message = AwaitedStream(sessions.message)
    output = AwaitedStream(sessions.output)
    terminate = Awaited(sessions.terminate)
    list = AwaitedPages(sessions.find)
    page = Awaited(sessions.find)
    show = Awaited(sessions.show)
    turns = AwaitedPages(sessions.turns)


class StandingAgents(AwaitedGroup):
    create = Awaited(standing.create)
    list = AwaitedPages(standing.find)
    page = Awaited(standing.find)
    show = Awaited(standing.show)
    change = Awaited(standing.change)
    start = Awaited(standing.start)
    stop = Awaited(standing.stop)
    delete = Awaited(standing.delete)
    chat = Awaited(standing.chat)


class Rules(AwaitedGroup):
    list = Awaited(rules.find)
    add = Awaited(rules.add)
    show = Awaited(rules.show)
    remove = Awaited(rules.remove)


class Keys(AwaitedGroup):
    list = Awaited(administration.keys)
    create = Awaited(administration.create_key)
    rotate = Awaited(administration.rotate_key)
    revoke = Awaited(administration.revoke_key)
    flush_user_keys = Awaited(administration.flush_user_keys)


class Audit(AwaitedGroup):
    list = AwaitedPages(administration.audit)
    page = Awaited(administration.audit)


class Incidents(AwaitedGroup):
    list = AwaitedPages(administration.incidents)
    page = Awaited(administration.incidents)


class Notifications(AwaitedGroup):
    list = AwaitedPages(administration.notifications)
    page = Awaited(administration.notifications)


class Projects(AwaitedGroup):
    list = Awaited(machines.projects)
    add = Awaited(machines.add_project)
    remove = Awaited(machines.remove_project)
    show_trust = Awaited(machines.project_trust)
    trust = Awaited(machines.trust_project)


class Systems(AwaitedGroup):
    list = Awaited(machines.systems)
    drain = Awaited(machines.drain)


class AsyncClient:
    """A daemon, as one program uses it. For one event loop; an async context manager, or call `close`.

    `token` is a local token, an API key or a user's JWT. Nothing is read from the environment, proxies included.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        patience: Patience | None = None,
        verify: ssl.SSLContext | bool = True,
        allow_plain_http: bool = False,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Raises: InvalidSettings."""
        self.carrier = AwaitingCarrier.to(
            url,
            token,
            patience or Patience(),
            verify=verify,
            allow_plain_http=allow_plain_http,
            transport=transport,
        )
        self.tasks = Tasks(self.carrier)
        self.agents = Agents(self.carrier)
        self.permissions = Permissions(self.carrier)
        self.events = Events(self.carrier)
        self.sessions = Sessions(self.carrier)
        self.standing = StandingAgents(self.carrier)
        self.rules = Rules(self.carrier)
        self.keys = Keys(self.carrier)
        self.audit = Audit(self.carrier)
        self.incidents = Incidents(self.carrier)
        self.notifications = Notifications(self.carrier)
        self.projects = Projects(self.carrier)
        self.systems = Systems(self.carrier)

    @classmethod
    def local(cls, state_directory: Path | None = None, *, patience: Patience | None = None) -> Self:
        """The daemon that runs on this machine as this user. Raises: DaemonUnreachable."""
        return cls(*of_this_machine(state_directory), patience=patience)

    async def ask(self, call: Call[Answer]) -> Answer:
        """Any route: `await client.ask(call.raw())` answers the JSON as it came."""
        return await self.carrier.carry(call)

    async def health(self) -> Health:
        """Whether the daemon lives and does its work; asks for no token."""
        return await self.ask(machines.health())

    async def status(self) -> Status:
        """How the daemon and its queue are."""
        return await self.ask(machines.status())

    async def profiles(self) -> tuple[Profile, ...]:
        return await self.ask(machines.profiles())

    async def budget(self) -> Budget:
        """What the agents of the machine have used today, beside what they may."""
        return await self.ask(administration.budget())

    async def stop_all(self) -> Stopped:
        """Ends every agent of the machine now and begins nothing new, until its drain is taken back."""
        return await self.ask(administration.stop_all())

    async def close(self) -> None:
        await self.carrier.http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()
