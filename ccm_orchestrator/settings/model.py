"""Every setting, with its default and its meaning. `docs/configuration.md` is generated from here."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from ccm_orchestrator.domain.profiles import Profile
from ccm_orchestrator.domain.rules import ApprovalRule, problem_with_rule
from ccm_orchestrator.settings.approvals import ApprovalRuleTable, build_rules
from ccm_orchestrator.settings.notifications import BudgetTable, NotificationsTable
from ccm_orchestrator.settings.profiles import ProfileTable, ProjectProfileTable, build_profiles
from ccm_orchestrator.settings.sections import (
    ApiTable,
    BackupTable,
    ClaudeTable,
    FaultsTable,
    LogTable,
    RemoteTable,
    RetryTable,
    StopTable,
    SupabaseTable,
    TmuxTable,
    TracesTable,
    UsersTable,
)
from ccm_orchestrator.settings.types import Count, Directory, Name, Names, Positive, Slug, Table, Text

ENV_PREFIX = "CCM_"
ENV_DELIMITER = "__"


def default_state_directory() -> Path:
    home = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(home).expanduser() / "ccm-orchestrator"


def default_system_id() -> str:
    """The host name, made of the characters that a name may have."""
    kept = "".join(char if char.isalnum() or char in "._-" else "-" for char in socket.gethostname())
    return kept.encode("ascii", "ignore").decode().strip("._-")[:63] or "localhost"


def _unrelated(keys: str, sentence: str) -> PydanticCustomError:
    """Values that do not go together. `keys` (separated by spaces) tell where they were set."""
    return PydanticCustomError("relation", "{sentence}", {"keys": keys, "sentence": sentence})


class Settings(Table):
    """The whole configuration of one system. Get one from `load_settings`."""

    state_directory: Directory = Field(
        default_factory=default_state_directory,
        description="Database, run directories, spool, logs and the API token; readable by nobody else.",
        json_schema_extra={"default_text": "`~/.local/state/ccm-orchestrator`"},
    )
    system_id: Name = Field(
        default_factory=default_system_id,
        description="Name of this machine in the task store. Never change it while tasks run.",
        json_schema_extra={"default_text": "the host name"},
    )
    system_name: Text = Field(
        default_factory=socket.gethostname,
        description="Name of this machine for people.",
        json_schema_extra={"default_text": "the host name"},
    )
    labels: Names = Field(
        default=(),
        description="What this machine can do or has; a task may ask for labels, and then goes nowhere else.",
    )
    queue_limit: Count = Field(
        default=100, description="Tasks that may wait; another one is refused until one has started."
    )
    max_agents: Count = Field(default=10, description="Agents that may run at the same time on this machine.")
    lease_s: Positive = Field(
        default=90.0, description="Seconds that a claim of this machine lasts without being renewed."
    )
    renew_interval_s: Positive = Field(
        default=20.0, description="Seconds between two renewals; at most a third of `lease_s`."
    )
    takeover_grace_s: Positive = Field(
        default=600.0,
        description="Seconds that the owner of an orphaned task must be silent before another may take it.",
    )
    poll_interval_s: Positive = Field(
        default=2.0, description="Seconds after which the queue is looked at even if nothing announced a change."
    )
    sweep_interval_s: Positive = Field(
        default=5.0, description="Seconds between two slow looks at all agents, which find what no event told."
    )
    memory_group: Directory | None = Field(
        default=None,
        description="A control group delegated to the daemon, in which the kernel enforces the memory limit of each "
        "agent; without it the limit is measured.",
        json_schema_extra={"default_text": "none: measured"},
    )
    watchdog_s: Positive = Field(
        default=15.0,
        description="Seconds without progress after which a loop of the daemon counts as stuck: an orchestrator is "
        "replaced, and what that does not mend is started anew as a process.",
    )
    event_retention_days: Positive = Field(
        default=30.0, description="Days that published events and raw hook events are kept."
    )

    api: ApiTable = Field(default_factory=ApiTable)
    remote: RemoteTable = Field(default_factory=RemoteTable)
    stop: StopTable = Field(default_factory=StopTable)
    retry: RetryTable = Field(default_factory=RetryTable)
    tmux: TmuxTable = Field(default_factory=TmuxTable)
    claude: ClaudeTable = Field(default_factory=ClaudeTable)
    supabase: SupabaseTable = Field(default_factory=SupabaseTable)
    users: UsersTable = Field(default_factory=UsersTable)
    backups: BackupTable = Field(default_factory=BackupTable)
    log: LogTable = Field(default_factory=LogTable)
    notifications: NotificationsTable = Field(default_factory=NotificationsTable)
    budget: BudgetTable = Field(default_factory=BudgetTable)
    traces: TracesTable = Field(default_factory=TracesTable)
    faults: FaultsTable = Field(default_factory=FaultsTable)
    profiles_table: dict[Slug, ProfileTable] = Field(
        default_factory=dict, alias="profiles", description="Profiles of agents, by name."
    )
    approval_rules_table: dict[Slug, ApprovalRuleTable] = Field(
        default_factory=dict, alias="approval_rules", description="Rules that answer what agents ask, by name."
    )

    @model_validator(mode="after")
    def _relations(self) -> Self:
        if self.renew_interval_s > self.lease_s / 3:
            raise _unrelated(
                "renew_interval_s lease_s",
                f"expected `renew_interval_s` to be at most a third of `lease_s` ({self.lease_s / 3:g}), "
                f"got: {self.renew_interval_s:g}",
            )
        if self.retry.longest_delay_s < self.retry.first_delay_s:
            raise _unrelated(
                "retry.longest_delay_s retry.first_delay_s",
                f"expected `retry.longest_delay_s` to be at least `retry.first_delay_s` "
                f"({self.retry.first_delay_s:g}), got: {self.retry.longest_delay_s:g}",
            )
        if self.supabase.sweep_degraded_s > self.supabase.sweep_live_s:
            raise _unrelated(
                "supabase.sweep_degraded_s supabase.sweep_live_s",
                f"expected `supabase.sweep_degraded_s` to be at most `supabase.sweep_live_s` "
                f"({self.supabase.sweep_live_s:g}), got: {self.supabase.sweep_degraded_s:g}",
            )
        for name, profile in self.profiles().items():
            if profile.driver == "generic" and not profile.command:
                raise _unrelated(
                    f"profiles.{name}.driver",
                    f"expected `profiles.{name}.command` to be set, because its driver is `generic`",
                )
        self._check_rules()
        return self

    def _check_rules(self) -> None:
        for name, table in self.approval_rules_table.items():
            if table.decision is None:
                raise _unrelated(
                    f"approval_rules.{name}",
                    f"expected `approval_rules.{name}.decision` to be set (`deny`, `ask` or `allow`)",
                )
            if (problem := problem_with_rule(build_rules({name: table})[0])) is not None:
                raise _unrelated(f"approval_rules.{name}", f"`approval_rules.{name}` cannot be used: {problem[:-1]}")

    def profiles(self, project: Mapping[str, ProjectProfileTable] | None = None) -> Mapping[str, Profile]:
        """By name: the built-in ones as `[profiles.NAME]` changes them, and the user's own.

        `project` is what `sources.read_project_file` found in a project; it weighs less than the user's table.
        """
        inherited = {name: os.environ[name] for name in self.claude.environment if name in os.environ}
        return {
            name: replace(profile, env=inherited | profile.env)
            for name, profile in build_profiles(project or {}, self.profiles_table).items()
        }

    def approval_rules(self) -> Sequence[ApprovalRule]:
        return build_rules(self.approval_rules_table)

    @property
    def database(self) -> Path:
        return self.state_directory / "ccm.db"

    @property
    def url_file(self) -> Path:
        """Where the daemon says at which URL it answers: its own flags may differ from the command line's."""
        return self.state_directory / "api-url"

    @property
    def api_url(self) -> str:
        host = f"[{self.api.host}]" if ":" in self.api.host else self.api.host
        return f"http://{host}:{self.api.port}"
