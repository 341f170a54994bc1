from ccm_orchestrator.demo.conversation import Conversation, Outcome, Round, ToolResult, read_conversation
from tests.unit.demo.requests import REMINDER, Body, Message, assistant, body, result, text, user

ASIDE = "The user sent a new message while you were working:\nand the docs\n\nThis is how Claude Code surfaces messages"


def read(*messages: Message, **options: str) -> Conversation:
    return read_conversation(body(*messages, **options), {})  # type: ignore[arg-type]


def test_a_first_request_holds_the_prompt_and_the_surroundings() -> None:
    conversation = read(user(REMINDER, "Fix it"), session_id="abc", cwd="/srv/my project")
    assert conversation.last_user_text == "Fix it"
    assert (conversation.session_id, conversation.cwd, conversation.model) == ("abc", "/srv/my project", "claude-test")
    assert [exchange.rounds for exchange in conversation.exchanges] == [(Round(),)]


def test_the_header_names_the_session_first() -> None:
    request = body(user("x"), session_id="abc")
    assert read_conversation(request, {"x-claude-code-session-id": "def"}).session_id == "def"


def test_the_working_directory_may_be_told_in_a_system_message() -> None:
    request: Body = body(user("x"), {"role": "system", "content": "Primary working directory: /srv/p\n - more"})
    request["system"] = "You are an agent."
    assert read_conversation(request, {}).cwd == "/srv/p"


def test_only_the_system_may_tell_the_working_directory() -> None:
    request = body(user("working directory: /etc"))
    request["system"] = "You are an agent."
    assert read_conversation(request, {}).cwd == "."


def test_the_plan_file_is_found_in_the_reminder_of_plan_mode() -> None:
    info = "<system-reminder>No plan file exists yet. You should create your plan at /h/.claude/plans/a.md using"
    assert read(user(info, "plan it")).plan_file == "/h/.claude/plans/a.md"


def test_every_answer_makes_a_round() -> None:
    conversation = read(
        user("go"),
        assistant("one", "t1", "t2"),
        user(result("a", "t1"), result("b", "t2", is_error=True)),
        assistant("two", "t3"),
        user(result("c", "t3")),
    )
    (exchange,) = conversation.exchanges
    assert [[result.text for result in round_.results] for round_ in exchange.rounds] == [[], ["a", "b"], ["c"]]


def test_results_may_be_lists_of_blocks() -> None:
    blocks = {"type": "tool_result", "tool_use_id": "t1", "content": [text("a"), {"type": "image"}, text("b")]}
    (exchange,) = read(user("go"), assistant("", "t1"), user(blocks)).exchanges
    assert exchange.rounds[-1].results[0].text == "a\n\nb"


def test_a_later_prompt_opens_an_exchange() -> None:
    conversation = read(user("go"), assistant("done"), user(REMINDER, "more"))
    assert [exchange.prompt for exchange in conversation.exchanges] == ["go", "more"]
    assert len(conversation.exchanges[1].rounds) == 1


def test_a_prompt_after_an_interruption_opens_an_exchange() -> None:
    rejected = result("The user doesn't want to proceed with this tool use.", is_error=True)
    interrupted = user(rejected, "[Request interrupted by user for tool use]\n", "what now")
    conversation = read(user("go"), assistant("", "t1"), interrupted)
    assert [exchange.prompt for exchange in conversation.exchanges] == ["go", "what now"]
    assert conversation.exchanges[1].rounds == (Round(),)


def test_a_message_queued_during_a_tool_call_stays_in_the_exchange() -> None:
    beside_result = read(user("go"), assistant("", "t1"), user(result(), ASIDE))
    as_system = read(user("go"), assistant("", "t1"), user(result()), {"role": "system", "content": ASIDE})
    for conversation in (beside_result, as_system):
        (exchange,) = conversation.exchanges
        assert exchange.rounds[-1] == Round((ToolResult("fine", False),), ("and the docs",))


def test_the_end_of_background_work_opens_an_exchange_unless_work_goes_on() -> None:
    note = (
        "<system-reminder>\n[SYSTEM NOTIFICATION]\n<task-notification>\nbuilt\n</task-notification>\n</system-reminder>"
    )
    idle = read(user("go"), assistant("waiting"), user(REMINDER, note))
    assert [exchange.prompt for exchange in idle.exchanges] == [
        "go",
        "<task-notification>\nbuilt\n</task-notification>",
    ]
    busy = read(user("go"), assistant("", "t1"), user(result(), note))
    assert [exchange.prompt for exchange in busy.exchanges] == ["go"]


def test_the_outcome_of_a_call_is_told_from_its_result() -> None:
    expected: list[tuple[ToolResult, Outcome]] = [
        (ToolResult("fine", False), "allowed"),
        (ToolResult("Exit code 2\nls: no such file", True), "failed"),
        (ToolResult("<tool_use_error>No such tool</tool_use_error>", True), "failed"),
        (ToolResult("Output redirection needs approval.", True), "denied"),
        (ToolResult("not today, says a hook", True), "denied"),
    ]
    assert [result.outcome for result, _ in expected] == [outcome for _, outcome in expected]


def test_a_request_without_tools_is_not_an_agent() -> None:
    assert read_conversation(body(user("Name this"), tools=()), {}).is_side_request
    assert not read(user("go")).is_side_request
