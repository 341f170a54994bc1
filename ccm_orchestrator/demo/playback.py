"""Which answer comes next: a function of the conversation, the scenarios and (for retries) a small ledger."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ccm_orchestrator.demo.answer import Answer, PromptError, Values, fill_error, fill_turn, number_of
from ccm_orchestrator.demo.conversation import Conversation, Exchange, Round
from ccm_orchestrator.demo.scenario import ApiError, Fault, Prompt, Scenario, Turn

_TAG = re.compile(r"\[scenario:(?P<content>[^\]]*)\]")
_TAG_PARAMETER = re.compile(r"(?P<name>[a-z][a-z_]*)=(?P<value>[\w.:/@%+-]+)")


@dataclass(frozen=True)
class Step:
    """What to do with one request. With `error` or `fault`, `answer` is what would have come."""

    name: str
    answer: Answer
    error: ApiError | None = None
    fault: Fault | None = None


@dataclass
class Ledger:
    """What the conversation itself cannot tell: earlier conversations with a prompt, and troubles already served."""

    starts: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    served: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def attempt(self, prompt: str, session_id: str, exchange: int) -> int:
        starts = self.starts.setdefault(prompt, [])
        if (session_id, exchange) not in starts:
            starts.append((session_id, exchange))
        return starts.index((session_id, exchange)) + 1

    def still_troubled(self, trouble: ApiError | Fault | None, key: tuple[str, str, str]) -> bool:
        if trouble is None:
            return False
        self.served[key] += 1
        return trouble.times is None or self.served[key] <= trouble.times


@dataclass(frozen=True)
class _Part:
    """The part of a scenario that answers one exchange."""

    scenario: Scenario
    turns: tuple[Turn, ...]
    label: str
    values: Values
    attempt: int


def next_step(scenarios: Sequence[Scenario], conversation: Conversation, ledger: Ledger) -> Step:
    """Raises PromptError for a tag that names no scenario or no parameter of it."""
    if conversation.is_side_request:
        return Step("side request", Answer(text=_side_text(conversation)))
    if not conversation.exchanges:
        return Step("no prompt", Answer(text="You said nothing."))
    if conversation.asks_for_summary:
        return Step("summary", Answer(text=_summary(conversation)))
    part = _part_of_last_exchange(scenarios, conversation, ledger)
    exchange = conversation.exchanges[-1]
    if part is None:
        return Step("echo", Answer(text=f"You said: {exchange.prompt}"))
    return _step(part, exchange, conversation, ledger)


def _side_text(conversation: Conversation) -> str:
    text = "Scripted session"
    if conversation.answer_schema is None:
        return text
    return json.dumps({name: text for name in conversation.answer_schema.get("properties", {})})


def _summary(conversation: Conversation) -> str:
    """Names the scenario again, so that it goes on with its later prompts after a compaction."""
    tags = [tag[0] for exchange in conversation.exchanges if (tag := _TAG.search(exchange.prompt))]
    return f"<summary>The conversation so far was scripted. {tags[-1] if tags else ''}</summary>"


def _step(part: _Part, exchange: Exchange, conversation: Conversation, ledger: Ledger) -> Step:
    found = _turn_for(part, exchange.rounds)
    if found is None:
        return Step(f"{part.label} over", Answer(text=f"(The scenario {part.scenario.name} has no further turn.)"))
    number, round_number, turn = found
    name = f"{part.label} turn {number}" + (f" round {round_number}" if turn.repeat != 1 else "")
    key = (conversation.session_id, f"{exchange.prompt}#{len(conversation.exchanges)}", name)
    values = {**part.values, "round": str(round_number), "last_result": _last_result(exchange)}
    return Step(
        name,
        fill_turn(turn, values, exchange.rounds[-1].asides),
        error=fill_error(turn.error, values) if ledger.still_troubled(turn.error, (*key[:2], name + "!")) else None,
        fault=turn.fault if ledger.still_troubled(turn.fault, (*key[:2], name + "?")) else None,
    )


def _part_of_last_exchange(scenarios: Sequence[Scenario], conversation: Conversation, ledger: Ledger) -> _Part | None:
    current: _Part | None = None
    started: tuple[Scenario, Values, int] | None = None
    unused: list[Prompt] = []
    for number, exchange in enumerate(conversation.exchanges, 1):
        chosen = _chosen_scenario(scenarios, exchange.prompt, is_first=number == 1)
        if chosen:
            scenario, parameters = chosen
            attempt = ledger.attempt(exchange.prompt, conversation.session_id, number)
            plan_file = conversation.plan_file or f"{conversation.cwd}/plan.md"
            values = {**parameters, "cwd": conversation.cwd, "plan_file": plan_file, "attempt": str(attempt)}
            started, unused = (scenario, values, attempt), list(scenario.prompt)
            current = _Part(scenario, scenario.turn, scenario.name, {**values, "prompt": exchange.prompt}, attempt)
        elif started:
            current = _later_part(started, unused, exchange.prompt)
    return current


def _later_part(started: tuple[Scenario, Values, int], unused: list[Prompt], text: str) -> _Part | None:
    """The first section that matches; it and those before it are used up, unless it may be repeated."""
    scenario, values, attempt = started
    for index, section in enumerate(unused):
        if re.search(section.match, text):
            label = f"{scenario.name} prompt {scenario.prompt.index(section) + 1}"
            del unused[: index + (not section.repeat)]
            return _Part(scenario, section.turn, label, {**values, "prompt": text}, attempt)
    return None


def _chosen_scenario(
    scenarios: Sequence[Scenario], prompt: str, *, is_first: bool
) -> tuple[Scenario, dict[str, str]] | None:
    tag = _TAG.search(prompt)
    if tag:
        return _tagged_scenario(scenarios, tag["content"])
    matching = (scenario for scenario in scenarios if scenario.match and re.search(scenario.match, prompt))
    scenario = next(matching, None) if is_first else None
    return (scenario, _defaults(scenario)) if scenario else None


def _tagged_scenario(scenarios: Sequence[Scenario], content: str) -> tuple[Scenario, dict[str, str]]:
    name, *words = content.split() or [""]
    scenario = next((scenario for scenario in scenarios if scenario.name == name), None)
    if scenario is None:
        known = ", ".join(sorted(scenario.name for scenario in scenarios))
        raise PromptError(f"the prompt asks for scenario {name!r}; known are: {known}")
    parameters = _defaults(scenario)
    for word in words:
        match = _TAG_PARAMETER.fullmatch(word)
        if match is None or match["name"] not in parameters:
            known = ", ".join(sorted(parameters)) or "none"
            raise PromptError(f"scenario {name!r} cannot use {word!r}; write parameter=value, known are: {known}")
        parameters[match["name"]] = match["value"]
    return scenario, parameters


def _defaults(scenario: Scenario) -> dict[str, str]:
    return {name: str(value) for name, value in scenario.parameters.items()}


def _turn_for(part: _Part, rounds: Sequence[Round]) -> tuple[int, int, Turn] | None:
    """Replays the conversation along the script: every round used up the first turn from there on that applied."""
    script = _unrolled(part)
    found = None
    for played in rounds:
        found = next((place for place in script if _applies(place[2], played, part.attempt)), None)
        if found is None:
            return None
    return found


def _unrolled(part: _Part) -> Iterator[tuple[int, int, Turn]]:
    """(turn, round, Turn): both numbers count from 1."""
    for number, turn in enumerate(part.turns, 1):
        for round_number in range(1, int(number_of(turn.repeat, part.values)) + 1):
            yield number, round_number, turn


def _applies(turn: Turn, played: Round, attempt: int) -> bool:
    if turn.attempt is not None:
        first = int(turn.attempt.rstrip("+"))
        if attempt != first and not (turn.attempt.endswith("+") and attempt > first):
            return False
    if turn.result_matches is not None and not any(re.search(turn.result_matches, r.text) for r in played.results):
        return False
    outcomes = {result.outcome for result in played.results}
    return turn.when is None or (outcomes <= {"allowed"} if turn.when == "allowed" else turn.when in outcomes)


def _last_result(exchange: Exchange) -> str:
    return "\n".join(result.text for result in exchange.rounds[-1].results)
