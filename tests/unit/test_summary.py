"""What a summary says of an agent's events."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from ccm_orchestrator.domain import summary
from ccm_orchestrator.domain.events import BusEvent, EventKind
from ccm_orchestrator.domain.result import CommandRun, Summary
from ccm_orchestrator.domain.summary import summarise

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def event(kind: EventKind, **data: object) -> BusEvent:
    return BusEvent(kind, NOW, "task", "run", data)


def command(text: str, call: str) -> BusEvent:
    return event(EventKind.BASH_COMMAND, command=text, tool_use_id=call)


def output(text: str, call: str, exit_code: object) -> BusEvent:
    return event(EventKind.BASH_OUTPUT, command=text, tool_use_id=call, exit_code=exit_code)


def tool(kind: EventKind, name: str, call: str, **data: object) -> BusEvent:
    return event(kind, tool_name=name, tool_use_id=call, **data)


def test_of_nothing_there_is_nothing_to_say() -> None:
    assert summarise([]) == Summary()


def test_files_are_named_once_in_order_and_apart() -> None:
    events = [
        event(EventKind.FILE_READ, file_path="b.py"),
        event(EventKind.FILE_WRITE, file_path="new.py"),
        event(EventKind.FILE_READ, file_path="a.py"),
        event(EventKind.FILE_EDIT, file_path="b.py"),
        event(EventKind.FILE_READ, file_path="b.py"),
        event(EventKind.FILE_EDIT, file_path="new.py"),
        event(EventKind.FILE_EDIT, file_path=""),
        event(EventKind.FILE_EDIT),
    ]
    found = summarise(events)
    assert found.files_read == ("b.py", "a.py")
    assert found.files_written == ("new.py", "b.py")


def test_commands_get_the_exit_code_of_their_own_call() -> None:
    """Parallel calls of one command end in any order."""
    events = [
        command("make", "1"),
        command("make", "2"),
        command("sleep 900", "3"),
        output("make", "2", 2),
        output("make", "1", 0),
    ]
    assert summarise(events).commands == (CommandRun("make", 0), CommandRun("make", 2), CommandRun("sleep 900", None))


def test_an_output_without_its_start_is_still_told() -> None:
    assert summarise([output("ls", "1", 0)]).commands == (CommandRun("ls", 0),)
    late = [output("ls", "1", 3), command("ls", "1")]
    assert summarise(late).commands == (CommandRun("ls", 3),)


def test_calls_without_an_id_are_not_taken_for_one_another() -> None:
    events = [command("a", ""), command("b", ""), event(EventKind.BASH_COMMAND, command="c")]
    assert [run.command for run in summarise(events).commands] == ["a", "b", "c"]


def test_an_exit_code_that_is_no_number_is_unknown() -> None:
    events = [output("a", "1", "0"), output("b", "2", True), output("c", "3", None)]
    assert [run.exit_code for run in summarise(events).commands] == [None, None, None]


def test_each_call_of_a_tool_counts_once() -> None:
    events = [
        tool(EventKind.TOOL_USE_START, "Read", "1"),
        tool(EventKind.TOOL_USE_COMPLETE, "Read", "1"),
        tool(EventKind.TOOL_USE_START, "Bash", "2"),
        tool(EventKind.TOOL_USE_START, "Bash", "2"),
        tool(EventKind.TOOL_USE_ERROR, "Bash", "2", error_message="Exit code 1"),
        tool(EventKind.TOOL_USE_START, "Bash", "3"),
        tool(EventKind.TOOL_USE_COMPLETE, "Grep", "4"),
    ]
    found = summarise(events).tool_counts
    assert list(found.items()) == [("Bash", 2), ("Read", 1), ("Grep", 1)]


def test_errors_are_one_line_each_and_the_last_ones_count() -> None:
    events = [
        tool(EventKind.TOOL_USE_ERROR, "Bash", "1", error_message="Exit code 1\n\tboom"),
        tool(EventKind.TOOL_USE_ERROR, "Edit", "2", error_message="String not found"),
        tool(EventKind.TOOL_USE_ERROR, "Bash", "3", error_message="Exit code 1\nboom"),
        event(EventKind.SESSION_ERROR, error_message="Overloaded"),
        event(EventKind.SESSION_ERROR, error_message=" \n"),
    ]
    assert summarise(events).errors == ("Edit: String not found", "Bash: Exit code 1 boom", "Overloaded")


def test_events_of_other_kinds_say_nothing() -> None:
    others = set(EventKind) - {
        EventKind.FILE_READ,
        EventKind.FILE_EDIT,
        EventKind.FILE_WRITE,
        EventKind.BASH_COMMAND,
        EventKind.BASH_OUTPUT,
        EventKind.TOOL_USE_START,
        EventKind.TOOL_USE_COMPLETE,
        EventKind.TOOL_USE_ERROR,
        EventKind.SESSION_ERROR,
    }
    data: dict[str, object] = {
        "file_path": "a",
        "command": "b",
        "tool_name": "c",
        "tool_use_id": "1",
        "error_message": "d",
        "exit_code": 0,
    }
    assert summarise(event(kind, **data) for kind in sorted(others)) == Summary()


def test_it_is_bounded_and_keeps_what_the_run_ended_with() -> None:
    count = 3_000
    events = [command(f"c{n} {'x' * 5_000}", str(n)) for n in range(count)]
    events += [event(EventKind.FILE_WRITE, file_path=f"f{n}") for n in range(count)]
    events += [event(EventKind.SESSION_ERROR, error_message=f"e{n} {'y' * 5_000}") for n in range(count)]
    events += [tool(EventKind.TOOL_USE_START, f"t{n}", f"t{n}") for n in range(count)]
    found = summarise(events)
    assert len(found.commands) == summary.MAX_COMMANDS
    assert found.commands[-1].command.startswith(f"c{count - 1} ")
    assert len(found.commands[-1].command) == summary.MAX_COMMAND_CHARACTERS
    assert found.files_written[0] == "f0"
    assert len(found.files_written) == summary.MAX_FILES
    assert len(found.errors) == summary.MAX_ERRORS
    assert found.errors[-1].startswith(f"e{count - 1} ")
    assert max(map(len, found.errors)) == summary.MAX_ERROR_CHARACTERS
    assert len(found.tool_counts) == summary.MAX_TOOLS


VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5), st.lists(st.integers(), max_size=2))
NAMES = ("file_path", "command", "tool_use_id", "tool_name", "error_message", "exit_code")
EVENTS = st.builds(
    BusEvent,
    kind=st.sampled_from(EventKind),
    at=st.just(NOW),
    data=st.dictionaries(st.sampled_from(NAMES), VALUES),
)
WHOLE_CALLS = st.lists(st.tuples(st.text("ab ", min_size=1, max_size=3), st.integers(0, 255)), max_size=8)


@given(st.lists(EVENTS, max_size=40))
def test_whatever_the_events_hold_the_summary_is_well_formed(events: list[BusEvent]) -> None:
    found = summarise(events)
    for paths in (found.files_read, found.files_written):
        assert len(set(paths)) == len(paths)
        assert all(paths)
    assert all(run.exit_code is None or type(run.exit_code) is int for run in found.commands)
    assert all("\n" not in error for error in found.errors)
    assert sum(found.tool_counts.values()) <= len(events)


@given(WHOLE_CALLS)
def test_repeated_events_change_nothing(calls: list[tuple[str, int]]) -> None:
    events: list[BusEvent] = []
    for number, (text, code) in enumerate(calls):
        events += [
            tool(EventKind.TOOL_USE_START, "Bash", str(number)),
            command(text, str(number)),
            output(text, str(number), code),
        ]
    doubled = [copy for one in events for copy in (one, one)]
    assert summarise(doubled) == summarise(events) == summarise(events + events)
    assert [run.exit_code for run in summarise(events).commands] == [code for _, code in calls]
