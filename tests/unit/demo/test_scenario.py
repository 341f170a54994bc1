from pathlib import Path

import pytest

from ccm_orchestrator.demo import scenario
from ccm_orchestrator.demo.scenario import ScenarioError, load_scenarios, parse_scenario, shipped_scenarios

HEAD = 'name = "one"\nsummary = "A scenario."\n'
TURN = '[[turn]]\nsay = "hello"\n'


def write(directory: Path, text: str, name: str = "one.toml") -> Path:
    path = directory / name
    path.write_text(text)
    return path


def test_a_small_scenario_is_read(tmp_path: Path) -> None:
    tool = '[[turn.tool]]\nname = "Bash"\ninput = { command = "ls" }\n'
    parsed = parse_scenario(write(tmp_path, HEAD + TURN + tool))
    assert parsed.name == "one"
    assert parsed.turn[0].say == "hello"
    assert parsed.turn[0].tool[0].input == {"command": "ls"}
    assert parsed.turn[0].usage.input == 100


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('name = "one"\nsummary "x"', "is not valid TOML: Expected '=' after a key in a key/value pair (at line 2"),
        (HEAD, "turn: Field required"),
        (TURN, "name: Field required; summary: Field required"),
        (HEAD.replace("one", "One Two") + TURN, "name: String should match pattern"),
        (HEAD + TURN + 'sya = "x"\n', "turn 1, sya: is not a field of a scenario here"),
        (HEAD + TURN + '[[turn]]\nsay = "x"\n[[turn.tool]]\n', "turn 2, tool 1, name: Field required"),
        (HEAD + "[[turn]]\ndelay_s = 3\n", "turn 1: a turn needs 'say', 'tool', or an 'error' or 'fault' without"),
        (HEAD + TURN + "delay_s = -1\n", "turn 1, delay_s: Input should be greater than or equal to 0"),
        (HEAD + TURN + 'delay_s = "{wait}"\n', "{wait} is not a parameter of this scenario"),
        (HEAD + TURN + 'when = "maybe"\n', "turn 1, when: Input should be 'allowed', 'denied' or 'failed'"),
        (HEAD + TURN + 'attempt = "first"\n', "turn 1, attempt: String should match pattern"),
        (HEAD + TURN + 'result_matches = "(x"\n', "turn 1, result_matches: is not a regular expression: missing )"),
        (HEAD + 'match = "["\n' + TURN, "match: is not a regular expression"),
        (
            HEAD + "[[turn]]\nerror = { status = 200, message = 'x' }\n",
            "turn 1, error, status: Input should be greater",
        ),
        (HEAD + "[[turn]]\nfault = { kind = 'fire' }\n", "turn 1, fault, kind: Input should be 'hang', 'stall'"),
        (HEAD + "parameters = { cwd = 1 }\n" + TURN, "parameter 'cwd' has a reserved name"),
        (HEAD + TURN + "[[prompt]]\nmatch = '*'\n[[prompt.turn]]\nsay = 'x'\n", "prompt 1, match: is not a regular"),
        (
            HEAD + TURN + "[[prompt]]\n[[prompt.turn]]\nsay = 1\n",
            "prompt 1, turn 1, say: Input should be a valid string",
        ),
    ],
)
def test_a_bad_file_is_refused_with_its_name_and_the_place(tmp_path: Path, text: str, problem: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert problem in str(caught.value)
    assert caught.value.path == path


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"none\.toml: cannot be read: No such file"):
        parse_scenario(tmp_path / "none.toml")


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ScenarioError, match="is not valid TOML"):
        parse_scenario(tmp_path / "one.toml")


def test_a_directory_without_scenarios_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="holds no scenario"):
        load_scenarios(tmp_path)


def test_two_files_cannot_share_a_name(tmp_path: Path) -> None:
    write(tmp_path, HEAD + TURN)
    write(tmp_path, HEAD + TURN, "two.toml")
    with pytest.raises(ScenarioError, match=r"two\.toml: name: 'one' is already used"):
        load_scenarios(tmp_path)


def test_each_shipped_scenario_is_in_a_file_of_its_name() -> None:
    stems = {path.stem for path in (Path(scenario.__file__).parent / "scenarios").iterdir()}
    assert {shipped.name for shipped in shipped_scenarios()} == stems
