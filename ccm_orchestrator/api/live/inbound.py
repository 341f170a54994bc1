"""What a client may send over a WebSocket."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, TypeAdapter

from ccm_orchestrator.api.approval_schemas import DecisionInput
from ccm_orchestrator.api.schemas import Input, Word
from ccm_orchestrator.domain.dialogue import Decision
from ccm_orchestrator.ports.terminal import Key

MAX_KEYS = 100


class Sent(Input):
    id: Word | None = Field(default=None, description="Of the client's choice; the answer has it as `reply_to`.")
    timestamp: float | None = Field(default=None, description="The client's own; not looked at.")


class UserMessage(Sent):
    """A message to the agent, as `POST /api/agents/{agent}/messages` takes it."""

    type: Literal["user_message"]
    content: str
    model: Word | None = Field(default=None, description="For sessions and standing agents; kept for what follows.")


class Answer(Sent, DecisionInput):
    """The answer to what the agent asks, as `POST /api/permissions/{request_id}` takes it."""

    type: Literal["answer"]
    decision: Decision = Decision.ALLOW
    request_id: Word | None = Field(default=None, description="None: the one thing that the agent asks.")


class Interrupt(Sent):
    """Ends the agent's turn; the agent stays and takes messages."""

    type: Literal["interrupt"]


class ScreenInput(Sent):
    """What a person at the agent's window would type."""

    type: Literal["input"]
    text: str = Field("", max_length=10_000)
    keys: list[Key] = Field([], max_length=MAX_KEYS, description="Pressed after the text.")


Inbound: TypeAlias = Annotated[UserMessage | Answer | Interrupt | ScreenInput, Field(discriminator="type")]
INBOUND: TypeAdapter[UserMessage | Answer | Interrupt | ScreenInput] = TypeAdapter(Inbound)
