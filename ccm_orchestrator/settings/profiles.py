"""The `[profiles.NAME]` tables: changes to a built-in profile, or a profile of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field

from ccm_orchestrator.domain.dialogue import Expiry
from ccm_orchestrator.domain.profiles import BUILT_IN, PermissionMode, Profile
from ccm_orchestrator.domain.run import Mode
from ccm_orchestrator.settings.types import Argv, Count, Expect, Positive, PositiveOrZero, Table, Text, Texts


class ProjectProfileTable(Table):
    """What a project's own file may say of a profile: nothing that gives the agent more rights."""

    model: Text | None = Field(default=None, description="Model of tasks that name none.")
    system_prompt: str | None = Field(default=None, description="Appended to the agent's own system prompt.")
    disallowed_tools: Texts | None = Field(default=None, description="Tools that the agent must not use.")
    end_marker: Annotated[bool, Expect("true or false")] | None = Field(
        default=None, description="Ask for `[DONE]` or `[ERROR] reason` at the end, and believe that marker only."
    )
    time_limit_s: PositiveOrZero | None = Field(default=None, description="Seconds that a run may take; 0: no limit.")
    inactivity_limit_s: Positive | None = Field(
        default=None,
        description="Seconds without a sign of life while no tool runs, after which the agent is nudged.",
    )


class ProfileTable(ProjectProfileTable):
    """Everything that can be said of a profile."""

    driver: Annotated[Literal["claude", "generic"], Expect("`claude` or `generic`")] | None = Field(
        default=None, description="What kind of agent; `generic` runs `command`."
    )
    mode: Annotated[Mode, Expect("`interactive` or `print`")] | None = Field(
        default=None, description="A conversation in the window, or one prompt and its answer."
    )
    permission_mode: (
        Annotated[PermissionMode, Expect("one of " + ", ".join(f"`{mode}`" for mode in PermissionMode))] | None
    ) = Field(default=None, description="Claude Code's permission mode.")
    allowed_tools: Texts | None = Field(default=None, description="Tools that the agent may use without asking.")
    permission_timeout_s: PositiveOrZero | None = Field(
        default=None, description="Seconds after which an unanswered request expires; 0: it waits for ever."
    )
    permission_expiry: Annotated[Expiry, Expect("`deny` or `terminal`")] | None = Field(
        default=None,
        description="What becomes of a request that expires: it is denied, or it is left to the agent's terminal.",
    )
    elicitation_hold_s: PositiveOrZero | None = Field(
        default=None,
        description="Seconds that an MCP server's form waits for an answer from elsewhere, before the agent's window "
        "shows it; 0: it is shown at once and answered there alone.",
    )
    budget_usd: PositiveOrZero | None = Field(default=None, description="US dollars that a run may cost; 0: no limit.")
    memory_limit_mb: Count | None = Field(
        default=None, description="Memory of the agent with all its children, in MiB."
    )
    env: Annotated[dict[str, str], Expect("a table of texts")] | None = Field(
        default=None,
        repr=False,
        description="Variables added to the agent's environment; never shown. In the file only.",
    )
    command: Argv | None = Field(
        default=None,
        description="`generic` only: the argv; `{prompt_file}`, `{marker_done}`, `{marker_error}` are replaced in it.",
    )


NONE_IS_ZERO = ("time_limit_s", "permission_timeout_s", "budget_usd")


def changed(profile: Profile, table: ProjectProfileTable) -> Profile:
    """The profile with the fields that the table sets."""
    values: dict[str, Any] = {name: getattr(table, name) for name in table.model_fields_set}
    for name in NONE_IS_ZERO:
        if name in values:
            values[name] = values[name] or None
    return replace(profile, **values)


def build_profiles(*layers: Mapping[str, ProjectProfileTable]) -> dict[str, Profile]:
    """The built-in profiles, changed and added to by each layer in turn."""
    profiles = {profile.name: profile for profile in BUILT_IN}
    for layer in layers:
        for name, table in layer.items():
            profiles[name] = changed(profiles.get(name, Profile(name)), table)
    return profiles
