"""The scenarios that need a person: the real Claude Code in a window of a tmux server of our own."""

import json
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.claude import ClaudeSandbox

pytestmark = [pytest.mark.claude, pytest.mark.tmux]

LIMIT_S = 60.0
PATIENCE_S = 3.0
SESSION_ID = "6e4c1f0a-0000-4000-8000-000000000001"


class Window:
    """One interactive Claude Code, its screen and its keyboard."""

    def __init__(self, sandbox: ClaudeSandbox, socket: Path) -> None:
        self._sandbox = sandbox
        self._socket = socket

    def start(self, *arguments: str) -> None:
        settings = json.dumps({"permissions": {"defaultMode": "default"}})
        env = {**self._sandbox.env, "CLAUDE_CODE_DISABLE_ALTERNATE_SCREEN": "1"}
        words = ["exec", "env", "-i", *(f"{name}={value}" for name, value in env.items())]
        words += [str(self._sandbox.binary), "--settings", settings, *arguments]
        command = shlex.join(words)
        self._tmux(
            "-f", "/dev/null", "new-session", "-d", "-x", "140", "-y", "50", "-c", str(self._sandbox.project), command
        )

    def stop(self) -> None:
        self._tmux("kill-server")

    def press(self, *keys: str) -> None:
        self._tmux("send-keys", *keys)

    def answer(self, dialog: str, key: str) -> None:
        """Presses the key once the dialog shows, and again while it stays: a very early key is swallowed."""
        self.wait_for_text(dialog)
        for _ in range(int(LIMIT_S / PATIENCE_S)):
            self.press(key)
            if self._leaves(dialog):
                return
        raise AssertionError(f"{dialog!r} stays, however often {key!r} is pressed; screen:\n{self.screen()}")

    def _leaves(self, dialog: str) -> bool:
        deadline = time.monotonic() + PATIENCE_S
        while dialog in self._tmux("capture-pane", "-p"):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def say(self, text: str) -> None:
        """Types a line; Enter only once it stands on the screen."""
        self._tmux("send-keys", "-l", "--", text)
        self.wait_for(lambda: text in self.screen(), f"{text!r} typed")
        self.press("Enter")

    def kill_agent(self) -> None:
        agent = psutil.Process(int(self._tmux("list-panes", "-F", "#{pane_pid}")))
        tools = agent.children(recursive=True)
        agent.kill()
        self.wait_for(lambda: self._tmux("list-panes", check=False) == "", "the window closed")
        for tool in tools:
            with suppress(psutil.NoSuchProcess):
                tool.kill()

    def screen(self) -> str:
        return self._tmux("capture-pane", "-p", "-S", "-")

    def wait_for_text(self, text: str) -> None:
        self.wait_for(lambda: text in self.screen(), f"{text!r} on the screen")

    def wait_for_step(self, step: str) -> None:
        self.wait_for(lambda: step in self.steps(), f"the step {step!r}")

    def steps(self) -> list[str]:
        return [request.answered for request in self._sandbox.model.requests if request.model]

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + LIMIT_S
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"no {what} within {LIMIT_S:.0f} s; steps {self.steps()}; screen:\n{self.screen()}"
                )
            time.sleep(0.05)

    def _tmux(self, *words: str, check: bool = True) -> str:
        run = subprocess.run(
            ["tmux", "-S", self._socket, *words], capture_output=True, text=True, timeout=LIMIT_S, check=check
        )
        return run.stdout


@pytest.fixture
def window(claude_sandbox: ClaudeSandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Window]:
    window = Window(claude_sandbox, tmp_path_factory.mktemp("t") / "s")
    yield window
    window.stop()


def test_a_permission_is_asked_and_given(window: Window) -> None:
    window.start("[scenario:ask-permission]")
    window.answer("Do you want to proceed?", "Enter")
    window.wait_for_step("ask-permission turn 2")
    window.wait_for_text("The date is in stamp.txt. [DONE]")


def test_a_permission_is_refused_and_the_next_prompt_answered(window: Window) -> None:
    window.start("[scenario:ask-permission]")
    window.answer("Do you want to proceed?", "Escape")
    window.wait_for_text("What should Claude do instead?")
    window.say("something else")
    window.wait_for_text("You said: something else")
    assert "echo" in window.steps()


def test_a_question_is_answered(window: Window) -> None:
    window.start("[scenario:question]")
    window.answer("Enter to select", "2")
    window.wait_for_text('"Which colour shall the button have?"="Blue"')


def test_a_plan_is_shown_whole_and_approved(window: Window) -> None:
    window.start("--permission-mode", "plan", "[scenario:plan]")
    window.wait_for_text("Would you like to proceed?")
    assert "1. Write plan.txt" in window.screen()
    window.answer("Would you like to proceed?", "2")
    window.answer("Do you want to create plan.txt?", "1")
    window.wait_for_text("Carried out as planned.")


def test_a_message_during_a_tool_call_is_taken_up(window: Window) -> None:
    window.start("[scenario:slow-tool seconds=4]")
    window.wait_for_text("started")
    window.say("and hurry")
    window.wait_for_text("You said meanwhile: and hurry")
    window.wait_for_text("That took a while.")


def test_a_killed_agent_is_resumed_and_finishes(window: Window) -> None:
    window.start("--session-id", SESSION_ID, "[scenario:crash-resume seconds=60]")
    window.wait_for_step("crash-resume turn 2")
    window.wait_for_text("Now the slow part.")
    window.kill_agent()
    window.start("--resume", SESSION_ID, "Continue.")
    window.wait_for_text("Finished after a resume.")
    assert [step for step in window.steps() if "prompt" in step] == [
        "crash-resume prompt 1 turn 1",
        "crash-resume prompt 1 turn 2",
    ]
