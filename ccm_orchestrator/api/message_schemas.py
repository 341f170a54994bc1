"""Messages to agents, with their receipts, as the API shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field

from ccm_orchestrator.api.schemas import Input, Output, Word
from ccm_orchestrator.domain.dialogue import Message, MessageStatus
from ccm_orchestrator.domain.run import Run
from ccm_orchestrator.domain.standing_agent import StandingAgent, StandingMessage

LONGEST_WAIT_S = 600.0
Wait = Annotated[
    float, Field(ge=0, le=LONGEST_WAIT_S, description="Seconds that the answer may be waited for; 0: not at all.")
]


class MessageInput(Input):
    text: str = Field(description="Typed to the agent as a person would; control characters but newline are dropped.")
    model: Word | None = Field(
        default=None, description="For a standing agent: the model from this message on; its process is begun anew."
    )
    wait_s: Wait = 0.0


class MessageOutput(Output):
    """A message with its receipt: queued → delivered → accepted → answered, or undelivered, or failed."""

    message_id: str
    agent: str
    run_id: str | None = Field(description="The run that it was sent to; None: of a standing agent, not known yet.")
    task_id: str | None
    text: str
    model: str | None = None
    status: MessageStatus
    created_at: datetime
    updated_at: datetime
    detail: str
    answer: str = Field(description="What the agent said at the end of the turn that it was part of.")

    @classmethod
    def of_run(cls, message: Message, run: Run) -> Self:
        names = set(cls.model_fields) - {"agent", "task_id", "model"}
        return cls(**{name: getattr(message, name) for name in names}, agent=run.name, task_id=run.task_id)

    @classmethod
    def of_standing(cls, message: StandingMessage, agent: StandingAgent) -> Self:
        names = set(cls.model_fields) - {"agent"}
        return cls(**{name: getattr(message, name) for name in names}, agent=agent.name)
