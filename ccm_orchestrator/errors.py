"""Every error the product raises on purpose.

    OrchestratorError
    ├── InputError                 the caller can mend it; the API answers 4xx, the CLI exits 2
    │   ├── InvalidTask            UnknownProject · UnknownDependency · DependencyCycle · UnknownProfile
    │   ├── QueueFull
    │   ├── NotFound               TaskNotFound · RunNotFound · MessageNotFound · PermissionNotFound ·
    │   │                          KeyNotFound · RuleNotFound · SessionNotFound ·
    │   │                          StandingAgentNotFound
    │   ├── WrongStatus
    │   ├── OutputGone
    │   ├── InvalidProject
    │   └── InvalidSettings
    ├── AccessRefused              MalformedHost · Misdirected · Unauthenticated · Forbidden ·
    │                              TooManyRequests
    ├── DaemonUnreachable          told by clients; StreamEnded (`client.failures`)
    ├── IdentityUnavailable        who calls cannot be found out at the moment
    ├── PortBusy                   the API cannot listen
    ├── ApiLost                    the API could not be loaded, or its server ended by itself
    ├── Fenced                     a superseded claim tried to write
    ├── StaleTerm                  a superseded orchestrator thread tried to write
    ├── StoreError                 StoreUnavailable · StoreRefused · SchemaTooNew · SchemaTooOld · StoreCorrupt ·
    │                              StateDirectoryBusy
    ├── TerminalError              TerminalUnavailable · WindowGone · TmuxMissing
    └── DriverError                AgentMissing · AgentUnsupported · NotLoggedIn

A class docstring is the default message; what a handler needs is an attribute, never parsed from the text.
"""

from __future__ import annotations

import re


class OrchestratorError(Exception):
    """Something went wrong in ccm-orchestrator."""

    def __init__(self, message: str | None = None, **facts: object) -> None:
        super().__init__(message or (self.__doc__ or "").strip().splitlines()[0])
        self.__dict__.update(facts)

    @property
    def message(self) -> str:
        """The sentence for a person: what was wrong, where, and what to do."""
        return str(self.args[0])


class InputError(OrchestratorError):
    """The input cannot be used."""


class InvalidTask(InputError):
    """The task cannot be accepted."""


class UnknownProject(InvalidTask):
    """The project is not registered; add it with `ccm-orchestrator project add PATH`."""


class UnknownDependency(InvalidTask):
    """The task waits for a task that does not exist."""


class DependencyCycle(InvalidTask):
    """The task would wait for itself."""


class UnknownProfile(InvalidTask):
    """The profile is not configured; `ccm-orchestrator config get profiles` lists those that are."""


class QueueFull(InputError):
    """The queue is full; wait for tasks to finish, or raise `queue_limit` in the configuration."""


class NotFound(InputError):
    """There is no such thing."""


class TaskNotFound(NotFound):
    """There is no task with this id; `ccm-orchestrator task list` shows those there are."""


class RunNotFound(NotFound):
    """There is no such run or agent; `ccm-orchestrator agent list` shows those there are."""


class StandingAgentNotFound(NotFound):
    """There is no standing agent of this name or id."""


class MessageNotFound(NotFound):
    """There is no message with this id."""


class PermissionNotFound(NotFound):
    """There is no permission request with this id."""


class KeyNotFound(NotFound):
    """There is no such API key; `ccm-orchestrator token list` shows those there are."""


class RuleNotFound(NotFound):
    """There is no approval rule with this id; `ccm-orchestrator approval rule list` shows those there are."""


class SessionNotFound(NotFound):
    """There is no session with this id."""


class WrongStatus(InputError):
    """The task is in a status in which this cannot be done."""


class OutputGone(InputError):
    """What the agent wrote is not kept any more."""


class InvalidProject(InputError):
    """The project cannot be registered."""


class InvalidSettings(InputError):
    """The configuration cannot be used."""


class AccessRefused(OrchestratorError):
    """The request is refused."""


class MalformedHost(AccessRefused):
    """The request must carry exactly one well-formed Host header."""


class Misdirected(AccessRefused):
    """The request names a host that this daemon does not serve; use 127.0.0.1, or add the name to the allowed hosts."""


class Unauthenticated(AccessRefused):
    """The request carries no valid token; send `Authorization: Bearer TOKEN` with the content of the token file."""


class Forbidden(AccessRefused):
    """The request may not do this."""


class TooManyRequests(AccessRefused):
    """Too many requests in too short a time; wait a moment and try again."""


class DaemonUnreachable(OrchestratorError):
    """The daemon does not answer."""


class IdentityUnavailable(OrchestratorError):
    """The Supabase project does not tell its keys at the moment, so that no user's token can be verified."""


class PortBusy(OrchestratorError):
    """The address of the API is in use."""


class ApiLost(OrchestratorError):
    """The API is not served."""


class Fenced(OrchestratorError):
    """A newer claim of this task exists, so this run can no longer change it."""


class StaleTerm(OrchestratorError):
    """A newer orchestrator has taken over, so this one can no longer write."""


class StoreError(OrchestratorError):
    """The task store failed."""


class StoreUnavailable(StoreError):
    """The task store does not answer at the moment."""


class StoreRefused(StoreError):
    """The task store refuses this system: its key, its rights or its address are wrong, and a person must mend that."""


class SchemaTooOld(StoreError):
    """The database lacks a migration; run `ccm-orchestrator db migrate`."""


class SchemaTooNew(StoreError):
    """The database was written by a newer ccm-orchestrator; upgrade this one, or restore a backup."""


class StoreCorrupt(StoreError):
    """The database file is damaged."""


class StateDirectoryBusy(StoreError):
    """Another daemon runs on this state directory."""


class TerminalError(OrchestratorError):
    """The terminal failed."""


class TerminalUnavailable(TerminalError):
    """tmux does not answer at the moment."""


class WindowGone(TerminalError):
    """The window does not exist any more."""


class TmuxMissing(TerminalError):
    """tmux was not found; install it with the system's package manager."""


class DriverError(OrchestratorError):
    """The coding agent cannot be used."""


class AgentMissing(DriverError):
    """Claude Code was not found; install it with `npm install -g @anthropic-ai/claude-code`."""


class AgentUnsupported(DriverError):
    """This version of Claude Code is not supported."""


class NotLoggedIn(DriverError):
    """Claude Code has no login; run `claude` once and log in, or set ANTHROPIC_API_KEY for the daemon."""


def problem_name(kind: type[OrchestratorError]) -> str:
    """What the API calls an error: `TaskNotFound` → `task-not-found`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", kind.__name__).lower()
