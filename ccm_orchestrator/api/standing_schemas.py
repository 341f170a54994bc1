"""Standing agents as the API shows them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints

from ccm_orchestrator.api.message_schemas import Wait
from ccm_orchestrator.api.schemas import Input, Output, Word
from ccm_orchestrator.api.task_schemas import AgentOutput
from ccm_orchestrator.domain.dialogue import MAX_MESSAGE_BYTES, MessageStatus
from ccm_orchestrator.domain.standing_agent import DEFAULT_IDLE_S, StandingStatus, Wanted
from ccm_orchestrator.engine.standing_agents import CHANGEABLE, NewStandingAgent
from ccm_orchestrator.engine.tending import StandingState
from ccm_orchestrator.errors import InputError

DEFAULT_CHAT_AGENT = "brain"
AgentName = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Text = Annotated[str, StringConstraints(max_length=MAX_MESSAGE_BYTES)]


class StandingAgentInput(Input):
    name: AgentName = Field(description="Small letters, digits and `-`.")
    project: Word | None = Field(default=None, description="None: the only one that is registered.")
    profile: Word | None = Field(default=None, description="None: the project's profile, else `executor`.")
    model: Word | None = Field(default=None, description="None: the profile's. A message may change it.")
    system_prompt: Text = Field(default="", description="Appended after the profile's.")
    allowed_tools: list[Word] | None = Field(default=None, max_length=200, description="None: the profile's.")
    idle_s: float = Field(
        default=DEFAULT_IDLE_S, description="Seconds without anything to do after which its process ends."
    )
    time_limit_s: float | None = Field(default=None, description="Of each turn; None: the profile's.")
    budget_usd: float | None = Field(default=None, description="Of each process; None: the profile's.")
    isolated: bool = Field(
        default=True,
        description="In a work tree of the project on a branch of its own (an empty directory where the project is "
        "no repository); false: in the project's own directory, which others may change meanwhile.",
    )
    started: bool = Field(default=True, description="False: it takes no messages before it was started.")
    message: Text | None = Field(default=None, description="Its first message.")

    def agent(self, owner: str | None) -> NewStandingAgent:
        values = self.model_dump(exclude={"message", "allowed_tools"})
        tools = None if self.allowed_tools is None else tuple(self.allowed_tools)
        return NewStandingAgent(**values, owner=owner, allowed_tools=tools)


class StandingAgentChange(Input):
    """What is left out stays as it is; `null` means the profile's."""

    profile: Word = Field(default="", description="Cannot be null.")
    model: Word | None = None
    system_prompt: Text = Field(default="", description="Appended after the profile's; cannot be null.")
    allowed_tools: list[Word] | None = Field(default=None, max_length=200)
    idle_s: float = Field(default=DEFAULT_IDLE_S, description="Cannot be null.")
    time_limit_s: float | None = Field(default=None, description="Of each turn.")
    budget_usd: float | None = Field(default=None, description="Of each process.")

    def changes(self) -> dict[str, Any]:
        """Raises: InputError, when there are none."""
        given = self.model_dump(exclude_unset=True)
        if not given:
            raise InputError(f"Expected something to change, one or more of: {', '.join(CHANGEABLE)}.")
        tools = given.get("allowed_tools")
        return given if tools is None else {**given, "allowed_tools": tuple(tools)}


class StandingAgentOutput(Output):
    kind: Literal["standing"] = "standing"
    agent: str = Field(description="Its name.")
    agent_id: str
    status: StandingStatus
    wanted: Wanted = Field(description="What people want of it.")
    detail: str = Field(description="One sentence, where there is something to know: why it failed, what was kept.")
    project: str
    profile: str
    model: str | None
    session_id: str = Field(description="The conversation that its next process goes on with.")
    idle_s: float
    time_limit_s: float | None = Field(description="Of each turn; None: the profile's.")
    budget_usd: float | None = Field(description="Of each process; None: the profile's.")
    allowed_tools: list[str] | None = Field(description="None: the profile's.")
    directory: Path | None = Field(description="Its own; None: it works in its project's.")
    created_at: datetime
    terminated_at: datetime | None
    task_id: str | None = Field(description="The task that its process carries out, or carried out last.")
    run_id: str | None
    run: AgentOutput | None = Field(description="Its process, or the last one it had.")

    @classmethod
    def of(cls, state: StandingState) -> Self:
        agent = state.agent
        run = AgentOutput.of(state.run) if state.run else None
        shown = set(cls.model_fields) - {"kind", "agent", "status", "detail", "run_id", "run"}
        return cls(
            **{name: getattr(agent, name) for name in shown},
            agent=agent.name,
            status=state.status,
            detail=agent.detail or _trouble(state),
            run_id=run.run_id if run else None,
            run=run,
        )


def _trouble(state: StandingState) -> str:
    if state.task is None or state.status is not StandingStatus.ERROR:
        return ""
    if state.task.hold is not None:
        return state.task.hold.detail
    failure = state.task.result.failure if state.task.result else None
    return failure.message if failure else ""


class ChatInput(Input):
    message: Text
    agent: AgentName = Field(
        default=DEFAULT_CHAT_AGENT,
        description="A standing agent; it is made when there is none of that name, with the profile of that name "
        "where there is one.",
    )
    project: Word | None = Field(default=None, description="For a new agent; None: the only one that is registered.")
    model: Word | None = None
    wait_s: Wait = 120.0


class ChatOutput(Output):
    agent: str
    session_id: str
    message_id: str
    status: MessageStatus
    reply: str = Field(description="Empty until the message is answered.")
    detail: str
