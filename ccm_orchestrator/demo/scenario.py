"""What a scenario file may say.

A scenario is one TOML file: `[[turn]]` tables are the answers to the task's first prompt, in order; each `[[prompt]]`
table answers one later prompt of the same conversation with its own `[[prompt.turn]]` tables. One turn is one answer
of the model to one request. The field descriptions below are the reference; unknown fields are refused.

In every text, and in tool inputs, `{name}` is replaced where name is a parameter of the scenario or one of `cwd`,
`plan_file`, `prompt`, `attempt`, `round` and `last_result`; all other braces stay as they are.
"""

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ccm_orchestrator.errors import InputError

BUILT_IN_PLACEHOLDERS = frozenset({"attempt", "cwd", "last_result", "plan_file", "prompt", "round"})

Placeholder = Annotated[str, Field(pattern=r"^\{[a-z_]+\}$")]
Seconds = Annotated[float, Field(ge=0)] | Placeholder
Count = Annotated[int, Field(ge=0, le=100_000)] | Placeholder
ParameterName = Annotated[str, Field(pattern=r"^[a-z][a-z_]*$")]


class ScenarioError(InputError):
    """A scenario file cannot be used."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.problem = problem


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Usage(_Table):
    """Tokens that the answer reports, so that the cost of a scenario is known beforehand."""

    input: Count = 100
    output: Count = 20
    cache_read: Count = 0
    cache_write: Count = 0


class Tool(_Table):
    """One tool call; several in one turn are sent in parallel."""

    name: str = Field(min_length=1)
    input: dict[str, Any] = Field(default_factory=dict)


class ApiError(_Table):
    """An error response instead of an answer."""

    status: int = Field(ge=400, le=599)
    message: str
    times: int | None = Field(default=None, ge=1)
    """How many requests of this turn fail before it is answered; absent: all of them."""
    retry_after_s: Seconds | None = None
    retry: bool | None = None
    """Sent as `x-should-retry`, which the client obeys."""
    limit_resets_in_s: Seconds | None = None
    """Marks the error as a used-up subscription limit that is lifted after so many seconds."""


class Fault(_Table):
    """A broken connection or stream.

    hang: the request is never answered. stall: half of the answer, then silence. garbage: bytes that are no events.
    truncate: half of the answer, then an orderly end. reset: connection reset before, `reset-midstream` within it.
    """

    kind: Literal["hang", "stall", "garbage", "truncate", "reset", "reset-midstream"]
    times: int | None = Field(default=None, ge=1)


class Turn(_Table):
    """One answer. It is skipped when one of its conditions (`when`, `result_matches`, `attempt`) does not hold."""

    when: Literal["allowed", "denied", "failed"] | None = None
    """About the tool results that this turn answers: all fine; one denied by the user or a rule; one in error."""
    result_matches: str | None = None
    """A regular expression that occurs in one of the tool results."""
    attempt: str | None = Field(default=None, pattern=r"^[1-9]\d*\+?$")
    """`1`: only the first conversation with this prompt. `2+`: the second and all later ones."""
    repeat: Count = 1
    """So many turns like this one follow one another; `{round}` counts them from 1."""
    delay_s: Seconds = 0.0
    thinking: str | None = None
    thinking_s: Seconds = 0.0
    say: str | None = None
    say_s: Seconds = 0.0
    tool: tuple[Tool, ...] = ()
    usage: Usage = Usage()
    stop_reason: str | None = None
    error: ApiError | None = None
    fault: Fault | None = None

    @field_validator("attempt", mode="before")
    @classmethod
    def _number_is_fine(cls, value: object) -> object:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("result_matches")
    @classmethod
    def _is_regex(cls, value: str | None) -> str | None:
        return _checked_regex(value)

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        forever = any(trouble is not None and trouble.times is None for trouble in (self.error, self.fault))
        if not (self.say or self.tool or forever):
            raise ValueError("a turn needs 'say', 'tool', or an 'error' or 'fault' without 'times'")
        if self.error and self.fault:
            raise ValueError("a turn has either 'error' or 'fault', not both")
        return self


class Prompt(_Table):
    """The answers to one later prompt of the conversation."""

    match: str = ""
    """A regular expression that occurs in the prompt; absent: any prompt."""
    repeat: bool = False
    """May be used for more than one prompt."""
    turn: tuple[Turn, ...] = Field(min_length=1)

    @field_validator("match")
    @classmethod
    def _is_regex(cls, value: str) -> str:
        _checked_regex(value)
        return value


class Scenario(_Table):
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    summary: str
    match: str | None = None
    """A regular expression that occurs in the first prompt; the tag `[scenario:NAME]` always matches."""
    parameters: dict[ParameterName, str | int | float] = Field(default_factory=dict)
    """Defaults; a prompt overrides them by `[scenario:NAME parameter=value]`."""
    turn: tuple[Turn, ...] = Field(min_length=1)
    prompt: tuple[Prompt, ...] = ()

    @field_validator("match")
    @classmethod
    def _is_regex(cls, value: str | None) -> str | None:
        return _checked_regex(value)

    @model_validator(mode="after")
    def _numbers_come_from_parameters(self) -> Self:
        taken = BUILT_IN_PLACEHOLDERS & self.parameters.keys()
        if taken:
            raise ValueError(f"parameter {sorted(taken)[0]!r} has a reserved name")
        known = {f"{{{name}}}" for name in self.parameters}
        for turn in [*self.turn, *(turn for prompt in self.prompt for turn in prompt.turn)]:
            numbers = [turn.repeat, turn.delay_s, turn.thinking_s, turn.say_s, *dict(turn.usage).values()]
            unknown = {number for number in numbers if isinstance(number, str)} - known
            if unknown:
                raise ValueError(f"{sorted(unknown)[0]} is not a parameter of this scenario")
        return self


def parse_scenario(path: Path) -> Scenario:
    """Raises ScenarioError when the file cannot be read, is not TOML, or does not describe a scenario."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        return Scenario.model_validate(table)
    except OSError as error:
        raise ScenarioError(path, f"cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ScenarioError(path, f"is not valid TOML: {error}") from error
    except ValidationError as error:
        raise ScenarioError(path, "; ".join(_describe(part) for part in error.errors())) from error


def load_scenarios(directory: Path) -> tuple[Scenario, ...]:
    """All `*.toml` of a directory, by name. Raises ScenarioError, also for an empty directory or a name used twice."""
    paths = sorted(directory.glob("*.toml"))
    if not paths:
        raise ScenarioError(directory, "holds no scenario (*.toml)")
    found: dict[str, Scenario] = {}
    for path in paths:
        scenario = parse_scenario(path)
        if scenario.name in found:
            raise ScenarioError(path, f"name: {scenario.name!r} is already used by another file of the directory")
        found[scenario.name] = scenario
    return tuple(found.values())


def shipped_scenarios() -> tuple[Scenario, ...]:
    """The scenarios that come with the package."""
    return load_scenarios(Path(__file__).parent / "scenarios")


def _checked_regex(value: str | None) -> str | None:
    try:
        re.compile(value or "")
    except re.error as error:
        raise ValueError(f"is not a regular expression: {error}") from error
    return value


def _describe(error: Any) -> str:
    """`turn 2, tool 1, input: Field required`: the numbers of tables count from 1, as a reader of the file would."""
    where = _location(error["loc"])
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        message = "is not a field of a scenario here"
    return f"{where}: {message}" if where else message


def _location(parts: Sequence[str | int]) -> str:
    words: list[str] = []
    for part in parts:
        if isinstance(part, int):
            words[-1] += f" {part + 1}"
        elif not re.search(r"[^a-z_]", part):
            words.append(part)
    return ", ".join(words)
