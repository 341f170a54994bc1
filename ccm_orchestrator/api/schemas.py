"""What crosses the API: parsed into domain values on the way in, made from them on the way out."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from ccm_orchestrator.domain.dialogue import Expiry
from ccm_orchestrator.domain.events import EventKind, StoredEvent
from ccm_orchestrator.domain.profiles import PermissionMode, Profile
from ccm_orchestrator.domain.run import Mode
from ccm_orchestrator.domain.task import DEFAULT_MAX_ATTEMPTS, NewTask
from ccm_orchestrator.ports.tasks import Project

MAX_SEQ = 2**62
"""Cursors beyond it are no cursors, and not every store could compare them."""
Word = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Input(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Output(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class TaskInput(Input):
    project: Word = Field(description="Name of a registered project.")
    prompt: str = Field(description="What the agent is to do; up to 4 MB.")
    profile: Word | None = Field(default=None, description="None: the project's profile, else `executor`.")
    priority: int = Field(0, description="Higher goes first; from -1000 to 1000.")
    run_after: AwareDatetime | None = None
    after: list[Word] = Field([], max_length=100, description="Ids of tasks that must have succeeded first.")
    dedup_key: Word | None = Field(
        None, description="While a task with this key has not ended, adding another one returns it."
    )
    max_attempts: int = DEFAULT_MAX_ATTEMPTS
    time_limit_s: float | None = None
    budget_usd: float | None = None
    model: Word | None = None
    tags: list[Word] = Field([], max_length=100)
    labels: list[Word] = Field([], max_length=100, description="What a system must have, all of it, to take the task.")
    system_id: Word | None = Field(default=None, description="The system meant to run it; None: any.")
    store: Word = Field(default="local", description="`local`, or `supabase`, where every machine may see it.")

    def new_task(self, source: str, task_id: str | None = None) -> NewTask:
        values = self.model_dump(exclude={"store"})
        values |= {
            "profile": self.profile or "",
            "after": tuple(self.after),
            "tags": tuple(self.tags),
            "labels": tuple(self.labels),
        }
        return NewTask(**values, source=source, task_id=task_id)


class ProjectInput(Input):
    path: Path = Field(description="Absolute path of the directory in which agents work.")
    name: Word | None = Field(default=None, description="None: the directory's own name.")
    profile: Word | None = None

    def project(self) -> Project:
        return Project(self.name or self.path.name, self.path, self.profile)


class SpawnInput(TaskInput):
    """A task that another program of this machine wants to be begun."""


class KillInput(Input):
    agent: Word = Field(description="Agent name, run id, task id, or a unique prefix.")
    kill: bool = Field(False, description="End its processes now instead of patiently.")


class ProjectOutput(Output):
    name: str
    path: Path
    profile: str | None
    created_at: datetime | None


class ProfileOutput(Output):
    """A profile without the values of its environment, which may be secrets."""

    name: str
    driver: str
    mode: Mode
    model: str | None
    permission_mode: PermissionMode
    allowed_tools: list[str]
    disallowed_tools: list[str]
    system_prompt: str
    end_marker: bool
    time_limit_s: float | None
    inactivity_limit_s: float
    permission_timeout_s: float | None
    permission_expiry: Expiry
    budget_usd: float | None
    memory_limit_mb: int
    env_names: list[str]

    @classmethod
    def of(cls, profile: Profile) -> Self:
        names = set(cls.model_fields) - {"env_names"}
        return cls(**{name: getattr(profile, name) for name in names}, env_names=sorted(profile.env))


class EventOutput(Output):
    seq: int
    kind: EventKind
    at: datetime
    task_id: str | None
    run_id: str | None
    data: dict[str, Any]

    @classmethod
    def of(cls, stored: StoredEvent) -> Self:
        event = stored.event
        return cls(
            seq=stored.seq,
            kind=event.kind,
            at=event.at,
            task_id=event.task_id,
            run_id=event.run_id,
            data=dict(event.data),
        )


class EventPage(Output):
    items: list[EventOutput]
    next_after: int = Field(description="Pass it as `after` to read on; the same again when nothing new came.")


class ScreenOutput(Output):
    agent: str
    run_id: str
    text: str


class StoppedOutput(Output):
    agents: list[str] = Field(description="Those that were ended.")
    surviving: list[str] = Field(description="Those of which processes are left, even after SIGKILL.")
    untold: list[str] = Field(description="Task stores that are away: they hear of it later.")


class SystemOutput(Output):
    system_id: str
    system_name: str
    version: str = Field(description="Of ccm-orchestrator; empty when it never introduced itself.")
    max_agents: int
    labels: list[str]
    draining: bool = Field(description="It finishes what it has and claims nothing new.")
    last_seen: datetime
    connected_since: datetime
    silent_s: float = Field(description="Seconds since its last heartbeat.")
    leased: int = Field(description="Tasks that it holds.")


class DrainInput(Input):
    draining: bool = True


class SupabaseHealthOutput(Output):
    state: str = Field(
        description="`starting`, `live`, `degraded` (without Realtime), `away` "
        "(agents go on, outcomes are kept until it is back), `refused` (a person must mend something), or `off`."
    )
    since: datetime | None = Field(default=None, description="When `state` began.")
    last_answer_at: datetime | None = None
    last_sweep_at: datetime | None = Field(default=None, description="The last look at the queue that was answered.")
    last_error: str = Field(default="", description="One sentence, empty when the last call was answered.")
    schema_newest: str | None = Field(default=None, description="Newest migration in the database.")
    schema_expected: str | None = Field(default=None, description="Newest migration that this version knows.")
    clock_skew_s: float = Field(default=0.0, description="How far the server's clock is ahead of this machine's.")
    subscriber: str = Field(default="off", description="What the connection to Realtime says of itself.")
    warnings: tuple[str, ...] = ()


class StatusOutput(Output):
    version: str
    system_id: str
    started_at: datetime
    trouble: str = Field(description="One word when the daemon does not do its work, else empty.")
    max_agents: int
    queue_limit: int
    agents: int = Field(description="Agents that live now.")
    tasks: dict[str, int] = Field(description="Tasks of the embedded store, by status.")
    supabase: SupabaseHealthOutput | None = Field(default=None, description="None: no Supabase project is configured.")


class HealthOutput(Output):
    status: str = Field(description="`ok`, or one word for what is wrong.")
    detail: str | None = Field(default=None, description="Only for callers with the API token.")
