import json

import pytest

from ccm_orchestrator.demo.answer import PromptError
from ccm_orchestrator.demo.conversation import read_conversation
from ccm_orchestrator.demo.playback import Ledger, Step, next_step
from ccm_orchestrator.demo.scenario import Scenario, shipped_scenarios
from tests.unit.demo.requests import Body, Message, assistant, body, result, user


def turns(*tables: dict[str, object], **more: object) -> tuple[Scenario, ...]:
    fields = {"name": "s", "summary": "x", "match": "^go", "turn": list(tables), **more}
    return (Scenario.model_validate(fields),)


def play(scenarios: tuple[Scenario, ...], request: Body, ledger: Ledger | None = None) -> Step:
    return next_step(scenarios, read_conversation(request, {}), ledger or Ledger())


def say(
    scenarios: tuple[Scenario, ...], *messages: Message, session_id: str = "s1", ledger: Ledger | None = None
) -> str:
    return play(scenarios, body(*messages, session_id=session_id), ledger).answer.text


def bash(command: str) -> list[dict[str, object]]:
    return [{"name": "Bash", "input": {"command": command}}]


def test_turns_follow_one_another_along_the_conversation() -> None:
    scenarios = turns({"say": "one", "tool": bash("ls")}, {"say": "two", "tool": bash("ls")}, {"say": "three"})
    talk = [user("go"), assistant("one", "t1"), user(result()), assistant("two", "t2"), user(result())]
    assert [say(scenarios, *talk[:length]) for length in (1, 3, 5)] == ["one", "two", "three"]
    assert "no further turn" in say(scenarios, *talk, assistant("three", "t3"), user(result()))


def test_a_request_asked_again_gets_the_same_turn() -> None:
    scenarios, ledger = turns({"say": "one"}, {"say": "two"}), Ledger()
    assert [say(scenarios, user("go"), ledger=ledger) for _ in range(3)] == ["one"] * 3


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ([result()], "fine"),
        ([result(), result("needs approval", is_error=True)], "no"),
        ([result("Exit code 1", is_error=True), result()], "broken"),
    ],
)
def test_turns_depend_on_what_became_of_the_calls(results: list[Message], expected: str) -> None:
    scenarios = turns(
        {"tool": bash("ls")},
        {"when": "denied", "say": "no"},
        {"when": "failed", "say": "broken"},
        {"when": "allowed", "say": "fine"},
    )
    assert say(scenarios, user("go"), assistant("", "t1"), user(*results)) == expected


def test_a_branch_taken_earlier_is_found_again() -> None:
    scenarios = turns(
        {"tool": bash("a")},
        {"when": "denied", "say": "then differently", "tool": bash("b")},
        {"when": "allowed", "say": "good"},
    )
    talk = [user("go"), assistant("", "t1"), user(result("denied", is_error=True)), assistant("", "t2"), user(result())]
    assert say(scenarios, *talk[:3]) == "then differently"
    assert say(scenarios, *talk) == "good"


def test_a_turn_may_depend_on_the_text_of_a_result() -> None:
    scenarios = turns({"tool": bash("a")}, {"result_matches": "three f", "say": "three"}, {"say": "other"})
    talk = (user("go"), assistant("", "t1"))
    assert say(scenarios, *talk, user(result("three files"))) == "three"
    assert say(scenarios, *talk, user(result("two files"))) == "other"


def test_attempts_are_counted_over_conversations_with_the_same_prompt() -> None:
    scenarios, ledger = turns({"attempt": 1, "say": "red"}, {"attempt": "2+", "say": "green {attempt}"}), Ledger()
    sessions = ["s1", "s1", "s2", "s3"]
    spoken = [say(scenarios, user("go"), session_id=session, ledger=ledger) for session in sessions]
    assert spoken == ["red", "red", "green 2", "green 3"]
    assert say(scenarios, user("go elsewhere"), session_id="s4", ledger=ledger) == "red"


def test_the_same_prompt_again_in_one_conversation_is_the_next_attempt() -> None:
    scenarios = turns({"attempt": 1, "say": "red"}, {"attempt": 2, "say": "green"})
    tagged = user("[scenario:s] go")
    assert say(scenarios, tagged, assistant("red"), tagged) == "green"


def test_later_prompts_have_sections_of_their_own() -> None:
    scenarios = turns(
        {"say": "first"},
        prompt=[
            {"match": "docs", "turn": [{"say": "documented"}]},
            {"match": "tests", "turn": [{"say": "tested"}]},
        ],
    )
    talk = (user("go"), assistant("first"))
    assert say(scenarios, *talk, user("write docs")) == "documented"
    assert say(scenarios, *talk, user("write tests")) == "tested"
    after_tests = (*talk, user("write tests"), assistant("tested"))
    assert say(scenarios, *after_tests, user("write docs")) == "You said: write docs"
    assert say(scenarios, *talk, user("hm?")) == "You said: hm?"


def test_a_section_may_be_repeated() -> None:
    scenarios = turns({"say": "first"}, prompt=[{"repeat": True, "turn": [{"say": "again"}]}])
    talk = [user("go"), assistant("first"), user("a"), assistant("again"), user("b")]
    assert [say(scenarios, *talk[:3]), say(scenarios, *talk)] == ["again", "again"]


def test_a_tag_in_a_later_prompt_starts_that_scenario() -> None:
    scenarios = (*turns({"say": "first"}), *turns({"say": "second"}, name="t", match=None))
    assert say(scenarios, user("go"), assistant("first"), user("[scenario:t]")) == "second"


def test_a_plain_prompt_matches_only_at_the_start() -> None:
    assert say(turns({"say": "first"}), user("hello"), assistant("You said: hello"), user("go")) == "You said: go"


def test_parameters_come_from_the_prompt_or_their_defaults() -> None:
    scenarios = turns({"say": "{n} of {of} in {cwd}: {unknown} ${HOME}"}, parameters={"n": 1, "of": "five"})
    assert say(scenarios, user("go")) == "1 of five in /home/u/p: {unknown} ${HOME}"
    assert say(scenarios, user("Please [scenario:s n=3]")).startswith("3 of five")


def test_placeholders_are_filled_in_tool_inputs() -> None:
    scenarios = turns({"tool": [{"name": "X", "input": {"a": ["{cwd}/f"], "b": {"c": "{prompt}"}, "d": 1, "e": True}}]})
    step = play(scenarios, body(user("go {cwd}")))
    assert step.answer.tools == (("X", {"a": ["/home/u/p/f"], "b": {"c": "go {cwd}"}, "d": 1, "e": True}),)
    assert step.answer.stop_reason == "tool_use"


def test_turns_repeat_as_often_as_a_parameter_says() -> None:
    scenarios = turns({"repeat": "{n}", "say": "{round}", "tool": bash("x")}, {"say": "end"}, parameters={"n": 2})
    talk = [user("go"), assistant("1", "t1"), user(result()), assistant("2", "t2"), user(result())]
    assert [say(scenarios, *talk[:length]) for length in (1, 3, 5)] == ["1", "2", "end"]
    assert say(scenarios, user("[scenario:s n=0]")) == "end"


@pytest.mark.parametrize(
    ("prompt", "problem"),
    [
        ("[scenario:none]", "asks for scenario 'none'; known are: s"),
        ("[scenario:]", "asks for scenario ''"),
        ("[scenario:s m=1]", "scenario 's' cannot use 'm=1'; write parameter=value, known are: n"),
        ("[scenario:s n]", "cannot use 'n'"),
        ("[scenario:s n=$(id)]", "cannot use 'n=$(id)'"),
        ("[scenario:s n=two]", "{n} must be a number from 0, not 'two'"),
        ("[scenario:s n=1e999]", "{n} must be a number from 0, not '1e999'"),
        ("[scenario:s n=-1]", "{n} must be a number from 0, not '-1'"),
    ],
)
def test_a_tag_that_cannot_be_followed_is_refused(prompt: str, problem: str) -> None:
    scenarios = turns({"repeat": "{n}", "say": "x"}, parameters={"n": 1})
    with pytest.raises(PromptError) as caught:
        play(scenarios, body(user(prompt)))
    assert problem in str(caught.value)


def test_an_error_that_ends_is_served_so_often_in_each_conversation() -> None:
    scenarios, ledger = turns({"say": "ok", "error": {"status": 529, "message": "m {cwd}", "times": 2}}), Ledger()
    steps = [play(scenarios, body(user("go"), session_id=session), ledger) for session in ("a", "a", "b", "a")]
    assert [step.error.status if step.error else None for step in steps] == [529, 529, 529, None]
    assert steps[0].error is not None and steps[0].error.message == "m /home/u/p"


def test_a_fault_without_an_end_is_served_for_ever() -> None:
    scenarios, ledger = turns({"fault": {"kind": "reset"}}), Ledger()
    steps = [play(scenarios, body(user("go")), ledger) for _ in range(5)]
    assert {step.fault.kind if step.fault else None for step in steps} == {"reset"}


def test_what_the_user_said_meanwhile_is_taken_up() -> None:
    aside = "The user sent a new message while you were working:\nhurry\n\nIMPORTANT: After completing"
    scenarios = turns({"tool": bash("x")}, {"say": "end"})
    assert say(scenarios, user("go"), assistant("", "t1"), user(result(), aside)) == "You said meanwhile: hurry\n\nend"


def test_requests_of_the_client_for_itself_play_no_scenario() -> None:
    request = body(user("<session>\ngo\n</session>"), tools=())
    assert play(turns({"say": "one"}), request).name == "side request"
    request["output_config"] = {"format": {"type": "json_schema", "schema": {"properties": {"title": {}}}}}
    assert json.loads(play(turns({"say": "one"}), request).answer.text) == {"title": "Scripted session"}


def test_a_scenario_goes_on_after_a_compaction() -> None:
    scenarios = turns({"say": "first"}, prompt=[{"match": "docs", "turn": [{"say": "documented"}]}])
    ask = user("CRITICAL: Respond with TEXT ONLY. Do NOT call any tools.")
    summary = say(scenarios, user("[scenario:s] go"), assistant("first"), ask)
    continued = user(f"This session is being continued. {summary}", "write docs")
    assert say(scenarios, continued) == "documented"


def test_every_shipped_scenario_has_a_first_answer() -> None:
    for scenario in shipped_scenarios():
        step = play(shipped_scenarios(), body(user(f"[scenario:{scenario.name}] do it")))
        assert step.name.startswith(f"{scenario.name} turn 1")
