"""The client whose methods return when the daemon has answered."""

from __future__ import annotations

import ssl
import time
from pathlib import Path
from typing import Self

import httpx

from ccm_orchestrator.client.address import authorization, checked_url, of_this_machine
from ccm_orchestrator.client.administration import Budget, Stopped
from ccm_orchestrator.client.answers import Health, Profile, Status, Task
from ccm_orchestrator.client.call import Answer, Call
from ccm_orchestrator.client.calls import administration, agents, events, machines, rules, sessions, standing, tasks
from ccm_orchestrator.client.carriers import BlockingCarrier
from ccm_orchestrator.client.faces import Blocking, BlockingGroup, BlockingPages, BlockingStream
from ccm_orchestrator.client.patience import Patience
from ccm_orchestrator.client.waiting import Waiting
from ccm_orchestrator.errors import DaemonUnreachable, StoreUnavailable


class Tasks(BlockingGroup):
    add = Blocking(tasks.add)
    list = BlockingPages(tasks.find)
    page = Blocking(tasks.find)
    show = Blocking(tasks.show)
    stop = Blocking(tasks.stop)
    retry = Blocking(tasks.retry)
    release = Blocking(tasks.release)
    events = BlockingPages(tasks.events)

    def wait(self, task: str, timeout_s: float | None = None) -> Task:
        """Until it has ended, or is held for a person. Raises: WaitTimeout, TaskNotFound, DaemonUnreachable."""
        waiting = Waiting(task, timeout_s, self._carrier.patience, time.monotonic())
        while True:
            try:
                found = self._carrier.carry(tasks.look(task, waiting.look_s(time.monotonic())))
            except (DaemonUnreachable, StoreUnavailable) as error:
                waiting.missed(error, time.monotonic())
            else:
                if waiting.answered(found, time.monotonic()):
                    return found
            time.sleep(waiting.pause_s(time.monotonic()))  # sleeps because the caller asked to be blocked


class Agents(BlockingGroup):
    list = BlockingPages(agents.find)
    page = Blocking(agents.find)
    show = Blocking(agents.show)
    explain = Blocking(agents.explain)
    screen = Blocking(agents.screen)
    watch = BlockingStream(agents.watch)
    stop = Blocking(agents.stop)
    messages = Blocking(agents.messages)
    message = Blocking(agents.message)
    send = Blocking(agents.send)


class Permissions(BlockingGroup):
    list = BlockingPages(agents.permissions)
    page = Blocking(agents.permissions)
    show = Blocking(agents.permission)
    allow = Blocking(agents.allow)
    deny = Blocking(agents.deny)


class Events(BlockingGroup):
    follow = BlockingStream(events.follow)
    list = BlockingPages(events.stored)
    page = Blocking(events.stored)


class Sessions(BlockingGroup):
    spawn = BlockingStream(sessions.spawn)
    message = BlockingStream(sessions.message)
    output = BlockingStream(sessions.output)
    terminate = Blocking(sessions.terminate)
    list = BlockingPages(sessions.find)
    page = Blocking(sessions.find)
    show = Blocking(sessions.show)
    turns = BlockingPages(sessions.turns)


class StandingAgents(BlockingGroup):
    create = Blocking(standing.create)
    list = BlockingPages(standing.find)
    page = Blocking(standing.find)
    show = Blocking(standing.show)
    change = Blocking(standing.change)
    start = Blocking(standing.start)
    stop = Blocking(standing.stop)
    delete = Blocking(standing.delete)
    chat = Blocking(standing.chat)


class Rules(BlockingGroup):
    list = Blocking(rules.find)
    add = Blocking(rules.add)
    show = Blocking(rules.show)
    remove = Blocking(rules.remove)


class Keys(BlockingGroup):
    list = Blocking(administration.keys)
    create = Blocking(administration.create_key)
    rotate = Blocking(administration.rotate_key)
    revoke = Blocking(administration.revoke_key)
    flush_user_keys = Blocking(administration.flush_user_keys)


class Audit(BlockingGroup):
    list = BlockingPages(administration.audit)
    page = Blocking(administration.audit)


class Incidents(BlockingGroup):
    list = BlockingPages(administration.incidents)
    page = Blocking(administration.incidents)


class Notifications(BlockingGroup):
    list = BlockingPages(administration.notifications)
    page = Blocking(administration.notifications)


class Projects(BlockingGroup):
    list = Blocking(machines.projects)
    add = Blocking(machines.add_project)
    remove = Blocking(machines.remove_project)
    show_trust = Blocking(machines.project_trust)
    trust = Blocking(machines.trust_project)


class Systems(BlockingGroup):
    list = Blocking(machines.systems)
    drain = Blocking(machines.drain)


class Client:
    """A daemon, as one program uses it. Safe to share between threads; a context manager, or call `close`.

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
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Raises: InvalidSettings."""
        http = httpx.Client(
            base_url=checked_url(url, allow_plain_http=allow_plain_http),
            headers=authorization(token),
            verify=verify,
            trust_env=False,
            transport=transport,
        )
        self.carrier = BlockingCarrier(http, patience or Patience())
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

    def ask(self, call: Call[Answer]) -> Answer:
        """Any route: `client.ask(call.raw())` answers the JSON as it came."""
        return self.carrier.carry(call)

    def health(self) -> Health:
        """Whether the daemon lives and does its work; asks for no token."""
        return self.ask(machines.health())

    def status(self) -> Status:
        """How the daemon and its queue are."""
        return self.ask(machines.status())

    def profiles(self) -> tuple[Profile, ...]:
        return self.ask(machines.profiles())

    def budget(self) -> Budget:
        """What the agents of the machine have used today, beside what they may."""
        return self.ask(administration.budget())

    def stop_all(self) -> Stopped:
        """Ends every agent of the machine now and begins nothing new, until its drain is taken back."""
        return self.ask(administration.stop_all())

    def close(self) -> None:
        self.carrier.http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
