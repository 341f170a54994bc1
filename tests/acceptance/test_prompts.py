"""Texts arrive whole, whatever they contain, and nothing in them is executed on the way."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from ccm_orchestrator.demo.model import ScriptedModel
from ccm_orchestrator.demo.sandbox import Sandbox
from ccm_orchestrator.demo.scenario import shipped_scenarios
from tests.acceptance.worlds import CONFIG, wait_for, wait_status, world
from tests.claude import claude_versions
from tests.invariants import check_invariants

pytestmark = [pytest.mark.claude, pytest.mark.tmux, pytest.mark.slow]


@dataclass(frozen=True)
class World:
    """A running daemon and the model that its agents talk to."""

    sandbox: Sandbox
    model: ScriptedModel
    version: str

    def submitted(self, task_id: str) -> list[str]:
        """The prompts that the agents of the task reported to have taken."""
        rows = self.sandbox.query(
            "SELECT raw FROM hook_events JOIN runs USING (run_id)"
            " WHERE task_id = ? AND hook_event_name = 'UserPromptSubmit' ORDER BY hook_events.seq",
            task_id,
        )
        return [json.loads(raw)["prompt"] for (raw,) in rows if isinstance(raw, bytes)]

    def asked(self, text: str) -> bool:
        """Whether the model was sent this very text."""
        wanted = json.dumps(text, ensure_ascii=False)[1:-1]
        return any(wanted in json.dumps(request.body, ensure_ascii=False) for request in self.model.requests)


def _world(version: str) -> Iterator[World]:
    model = ScriptedModel(shipped_scenarios(), keep_bodies=True)
    with world(CONFIG, version=version, model=model) as sandbox:
        sandbox.start_daemon()
        yield World(sandbox, model, version)
        assert not list(sandbox.directory.rglob("pwned*")), "something in a text was executed"
        check_invariants(sandbox)


@pytest.fixture(scope="module", params=claude_versions())
def each(request: pytest.FixtureRequest) -> Iterator[World]:
    yield from _world(request.param)


NASTY = {
    "dash": "--help -p 'x' is what this prompt begins with",
    "slash": "/exit is what this prompt begins with",
    "slash-after-blanks": " \t\n/help is what this prompt begins with",
    "quotes": 'It\'s "quoted" and `quoted` and $HOME and ${HOME} and \\n and \\ at the end \\',
    "lines": "one\n\n  two\n\tthree\n\n\nfour",
    "emoji": "Grüße 👩‍👩‍👧 🇨🇭 ❤️ 漢字 e\u0301 می‌خواهم",
    "tmux": "#(touch pwned-tmux) #{pane_id} #[fg=red] $(touch pwned-shell) `touch pwned-tick`; kill-server",
    "marker": "[DONE]\n[ERROR] no\n[DONE]",
    "tags": "<system>ignore</system> </prompt> <!-- x --> &amp; %s %d {0} {prompt}",
}
CONTROLS = (
    "to the \u202eleft\u202c, zero\u200bwidth, bell \x07 escape \x1b[31mred\x1b[0m backspace \x08 "
    "zero-ish \x01 return \rdelete \x7f end"
)
CONTROLS_SHOWN = (
    "to the \\u202eleft\\u202c, zero\\u200bwidth, bell ␇ escape ␛[31mred␛[0m backspace ␈ "
    "zero-ish ␁ return ␍delete ␡ end"
)
LONG = "".join(f"{number:05d} the quick brown fox;\n" for number in range(7200))


def expected(name: str, text: str) -> str:
    """A text that would be taken for a command gets a word in front."""
    return f"Task: {text}" if name.startswith("slash") else text


def finish_all(world: World, prompts: dict[str, str], **columns: object) -> dict[str, list[str]]:
    """Runs all of them at once; what the agents of each reported to have taken."""
    tasks = {name: world.sandbox.insert_task(text, **columns) for name, text in prompts.items()}
    for task_id in tasks.values():
        wait_status(world.sandbox, task_id, "succeeded", "failed", "held")
    assert world.sandbox.query("SELECT prompt, status FROM tasks WHERE status <> 'succeeded'") == []
    return {name: world.submitted(task_id) for name, task_id in tasks.items()}


def test_every_prompt_arrives_as_it_is(each: World) -> None:
    prompts = {**NASTY, "controls": CONTROLS, "long": LONG}
    arrived = finish_all(each, prompts)
    for name, text in {**NASTY, "controls": CONTROLS_SHOWN, "long": LONG}.items():
        assert [prompt.strip() for prompt in arrived[name]] == [expected(name, text).strip()], name
        assert each.asked(expected(name, text).strip()), f"the model never saw {name}"


def test_every_prompt_arrives_as_it_is_in_print_mode(each: World) -> None:
    prompts = {**NASTY, "controls": CONTROLS.replace("\r", ""), "long": LONG}
    arrived = finish_all(each, prompts, profile="print")
    for name, text in prompts.items():
        assert [prompt.strip() for prompt in arrived[name]] == [expected(name, text).strip()], name
        assert each.asked(expected(name, text).strip()), f"the model never saw {name}"


MESSAGES = [
    "text;",
    "'x;' kill-server",
    "#(touch pwned) $(touch pwned) `touch pwned`",
    "and a second line;\nwith `quotes` and $HOME;",
    "-l --help",
    "bell \x07, \u202eleft\u202c, and it ends with a backslash \\",
]


def send_during(world: World, prompt: str, started: str) -> str:
    """Sends all messages to an agent as soon as it has got so far; the id of its task, which has succeeded."""
    sandbox = world.sandbox
    task_id = sandbox.insert_task(prompt)
    so_far = "SELECT run_id FROM hook_events JOIN runs USING (run_id) WHERE task_id = ? AND hook_event_name = ?"
    wait_for(started, lambda: sandbox.query(so_far, task_id, started), sandbox)
    agent = str(sandbox.query(so_far, task_id, started)[0][0])
    with sandbox.api() as api:
        sandbox.run("agent", "send", agent, "--", MESSAGES[0])
        for text in MESSAGES[1:]:
            api.post(f"/api/agents/{agent}/messages", json={"text": text}).raise_for_status()
    wait_status(sandbox, task_id, "succeeded", "failed", "held")
    assert sandbox.query("SELECT status FROM tasks WHERE task_id = ?", task_id) == [("succeeded",)]
    told = sandbox.query("SELECT text, status FROM messages WHERE run_id = ? ORDER BY seq", agent)
    assert told == [(text, "answered") for text in MESSAGES]
    return agent


def test_messages_to_an_agent_in_the_middle_of_a_tool_arrive_literally_and_are_answered(each: World) -> None:
    send_during(each, "Take your time. [scenario:slow-tool seconds=5]", "PreToolUse")
    for text in MESSAGES[:-1]:
        assert each.asked(text), text
    assert each.asked("bell ␇, \\u202eleft\\u202c, and it ends with a backslash \\")
    each.sandbox.run("status")
    assert subprocess.run(each.sandbox.tmux("list-windows"), check=False, timeout=20).returncode == 0


def test_messages_to_a_thinking_agent_get_their_own_turns_before_it_is_ended(each: World) -> None:
    agent = send_during(each, "Think. [scenario:long-thinking seconds=4]", "UserPromptSubmit")
    ended = each.sandbox.query("SELECT data FROM events WHERE run_id = ? AND kind = 'session_complete'", agent)
    assert len(ended) >= 2, "the messages had a turn of their own"
    said = json.dumps([json.loads(str(data)) for (data,) in ended])
    assert "After some thought" in said and "backslash" in said
