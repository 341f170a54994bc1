"""The driver with the real Claude Code, both ends of the supported range."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ccm_orchestrator.adapters.claude.driver import ClaudeDriver
from ccm_orchestrator.adapters.claude.prompt import prompt_bytes
from ccm_orchestrator.adapters.claude.trust import answer_ahead
from ccm_orchestrator.adapters.tmux.terminal import TmuxTerminal
from ccm_orchestrator.domain.agent import Signal, Source
from ccm_orchestrator.domain.dialogue import Decision, PermissionRequest, PermissionStatus, Verdict
from ccm_orchestrator.domain.profiles import PermissionMode, Profile
from ccm_orchestrator.domain.run import Mode
from ccm_orchestrator.ports.terminal import Key
from tests.claude import ClaudeSandbox
from tests.claude_agents import ENDS, TOKEN, Agent, PermissionServer, World

pytestmark = [pytest.mark.claude, pytest.mark.tmux]

ASKING = Profile("asking", permission_mode=PermissionMode.DEFAULT)
BYPASS = Profile("bypass", permission_mode=PermissionMode.BYPASS)
PRINT = Profile("print", mode=Mode.PRINT)
TOKENS = (1670, 260, 28150, 8000)
"""What `edit-and-run` uses: input, output, read from the cache, written to it."""


@pytest.fixture
async def world(claude_sandbox: ClaudeSandbox, terminal: TmuxTerminal, tmp_path: Path) -> AsyncIterator[World]:
    world = World(claude_sandbox, terminal, tmp_path)
    yield world
    await world.close()


def tokens(usage: Any) -> tuple[int, int, int, int]:
    return usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.cache_creation_tokens


async def test_an_interactive_run_from_a_fresh_home_to_its_report(world: World) -> None:
    agent = await world.start("[scenario:edit-and-run] Write the greeting")
    ended = await agent.until(ENDS)
    assert (ended.signal, ended.detail[-6:]) == (Signal.TURN_ENDED, "[DONE]")
    await agent.until_seen(Signal.IDLE)
    assert (world.sandbox.project / "greeting.txt").read_text() == "hello, world\n"
    written = [data["file_path"] for kind in ("file_write", "file_edit") for data in agent.events(kind)]
    assert written == [str(world.sandbox.project / "greeting.txt")] * 2
    assert [(data["command"], data["exit_code"]) for data in agent.events("bash_output")] == [("cat greeting.txt", 0)]
    await agent.stop()
    report = await agent.report()
    assert tokens(report.usage) == TOKENS
    assert report.usage.cost_usd is not None
    assert 0.03 < report.usage.cost_usd < 0.10
    assert report.text == ended.detail


async def test_only_the_registered_project_is_trusted(world: World) -> None:
    agent = await world.start("[scenario:chat] Hello")
    await agent.until(ENDS)
    state = json.loads((world.sandbox.home / ".claude.json").read_text())
    trusted = [path for path, project in state["projects"].items() if project.get("hasTrustDialogAccepted")]
    assert trusted == [str(world.sandbox.project)]


PROMPTS = {
    "200-kb": "".join(f"line {number} of a long prompt\n" for number in range(7000)) + "the end",
    "quotes": "-x --foo \"a\" 'b' `id` $HOME #(touch pwned) \\ ;\n\n  two  spaces \n👩‍👩‍👧 ünï ﷺ @README.md !ls [DONE]",
    "slash": "/clear now\nand then the rest",
    "exit": "exit",
    "controls": "a\x1b[31mred\x07\0\x7f\x9b\ttab\r\nend",
}


@pytest.mark.parametrize("kind", PROMPTS)
@pytest.mark.parametrize("mode", list(Mode))
async def test_a_prompt_arrives_whole(world: World, kind: str, mode: Mode) -> None:
    agent = await world.start(PROMPTS[kind], Profile("p", mode=mode))
    await agent.until({Signal.PROMPT_ACCEPTED})
    expected = prompt_bytes(PROMPTS[kind], mode is Mode.INTERACTIVE).decode()
    [payload] = agent.payloads("UserPromptSubmit")
    assert payload["prompt"] == expected
    ended = await agent.until(ENDS)
    assert ended.signal is Signal.TURN_ENDED
    assert any(expected.strip() in request.last_user_text for request in world.sandbox.model.requests)


async def test_a_resumed_run_continues_its_session_and_counts_itself_only(world: World) -> None:
    first = await world.start("[scenario:edit-and-run] Write the greeting")
    await first.until(ENDS)
    await first.stop()
    earlier = (await first.report()).usage
    second = await world.start("And once more.", resume=first.run)
    await second.until(ENDS)
    await second.stop()
    assert {reading.session_id for reading in second.readings} == {first.run.session_id}
    later = (await second.report()).usage
    assert tokens(earlier) == TOKENS
    assert 0 < later.input_tokens < earlier.input_tokens
    assert later.cost_usd is not None
    assert earlier.cost_usd is not None
    assert 0 < later.cost_usd < earlier.cost_usd / 2


async def test_a_print_run_is_told_by_its_stream(world: World) -> None:
    agent = await world.start("[scenario:edit-and-run] Write the greeting", PRINT)
    ended = await agent.until_seen(Signal.TURN_ENDED)
    assert (ended.source, ended.detail[-6:]) == (Source.STREAM, "[DONE]")
    await agent.until_ended()
    report = await agent.report()
    assert (report.usage.source, tokens(report.usage), report.text) == ("result", TOKENS, ended.detail)
    assert report.usage.cost_usd == ended.data["cost_usd"]
    assert not (world.sandbox.home / ".claude.json.before-ccm-orchestrator").exists()


@pytest.mark.parametrize("mode", list(Mode))
async def test_an_unknown_model_has_no_price(world: World, mode: Mode) -> None:
    agent = await world.start("[scenario:chat] Hello", Profile("p", mode=mode, model="groq/some-model"))
    await agent.until(ENDS)
    await (agent.stop() if mode is Mode.INTERACTIVE else agent.until_ended())
    usage = (await agent.report()).usage
    assert usage.cost_usd is None
    assert usage.input_tokens > 0


@pytest.mark.parametrize("mode", list(Mode))
async def test_a_failed_turn_says_why(world: World, mode: Mode) -> None:
    agent = await world.start("[scenario:usage-limit] go", Profile("p", mode=mode))
    failed = await agent.until(ENDS)
    assert (failed.signal, failed.data["failure_kind"]) == (Signal.TURN_FAILED, "usage_limit")
    if mode is Mode.PRINT:
        seen = await agent.until_seen(Signal.TURN_FAILED)
        assert (seen.source, seen.data["failure_kind"]) == (Source.STREAM, "usage_limit")


async def test_the_budget_of_a_print_run_is_its_own(world: World) -> None:
    profile = replace(PRINT, budget_usd=0.001, permission_mode=PermissionMode.ACCEPT_EDITS)
    agent = await world.start("[scenario:edit-and-run] go", profile)
    failed = await agent.until_seen(Signal.TURN_FAILED)
    assert failed.data["failure_kind"] == "budget"


def decide(driver: ClaudeDriver, verdict: Verdict, payload: dict[str, Any]) -> Mapping[str, object]:
    asked = driver.read_permission(payload)
    if asked.tool_name == "AskUserQuestion":
        answers = {"Which colour shall the button have?": "Blue"}
        verdict = replace(verdict, updated_input={**asked.tool_input, "answers": answers})
    request = PermissionRequest(
        request_id="p",
        run_id="r",
        task_id="t",
        dialog=asked.dialog.value,
        tool_name=asked.tool_name,
        tool_input=asked.tool_input,
        suggestions=asked.suggestions,
        status=PermissionStatus.OPEN,
        created_at=datetime.now(UTC),
    )
    return driver.permission_answer(request, verdict)


async def ask(world: World, prompt: str, profile: Profile, verdict: Verdict) -> tuple[Agent, PermissionServer]:
    with PermissionServer(lambda payload: decide(world.driver, verdict, payload)).running() as server:
        agent = await world.start(prompt, profile, permission_url=server.url)
        await agent.until(ENDS)
    assert set(server.authorizations) == {f"Bearer {TOKEN}"}
    return agent, server


async def test_a_permission_is_given_over_http(world: World) -> None:
    agent, server = await ask(world, "[scenario:ask-permission] go", ASKING, Verdict(Decision.ALLOW, "anna"))
    assert [payload["tool_name"] for payload in server.asked] == ["Bash"]
    assert (await agent.report()).text == "The date is in stamp.txt. [DONE]"
    assert (world.sandbox.project / "stamp.txt").exists()


async def test_a_permission_is_denied_over_http(world: World) -> None:
    verdict = Verdict(Decision.DENY, "anna", "not today")
    agent, _ = await ask(world, "[scenario:ask-permission] go", ASKING, verdict)
    assert (await agent.report()).text.endswith("[ERROR] permission denied")
    assert not (world.sandbox.project / "stamp.txt").exists()
    [use] = [item.data["tool_use_id"] for item in agent.evidence if item.signal is Signal.TOOL_STARTED]

    async def finished() -> bool:
        seen = await world.driver.observe(await agent.trace())
        return any(item.signal is Signal.TOOL_FINISHED and item.data["tool_use_id"] == use for item in seen)

    await agent.eventually(finished, "the denied call in the transcript, for no hook tells its end")


async def test_a_question_is_answered_over_http(world: World) -> None:
    agent, _ = await ask(world, "[scenario:question] go", ASKING, Verdict(Decision.ALLOW, "anna"))
    assert "Blue" in (await agent.report()).text


async def test_a_plan_is_approved_over_http(world: World) -> None:
    profile = Profile("planning", permission_mode=PermissionMode.PLAN)
    agent, server = await ask(world, "[scenario:plan] go", profile, Verdict(Decision.ALLOW, "anna"))
    assert [payload["tool_name"] for payload in server.asked][:1] == ["ExitPlanMode"]
    assert (await agent.report()).text.endswith("[DONE]")


async def test_the_terminal_s_own_dialog_is_there_when_nobody_answers(world: World) -> None:
    agent = await world.start("[scenario:ask-permission] go", ASKING, permission_url="http://127.0.0.1:9/permission")
    blocked = await agent.until_seen(Signal.BLOCKED, "permission")
    assert blocked.source is Source.REGISTRY

    async def on_screen() -> bool:
        seen = world.driver.read_screen(await agent.screen(), datetime.now(UTC), agent.run.run_id)
        return seen is not None and (seen.signal, seen.detail) == (Signal.BLOCKED, "permission")

    await agent.eventually(on_screen, "dialog on the screen")
    await agent.press_until(Key.YES, {Signal.BUSY, Signal.IDLE})
    await agent.until(ENDS)


MESSAGES = ["/clear", "exit", "!ls", "?", "ends with \\", "one\ntwo\n/three;", "  @READ", "-l 👩‍👩‍👧 'q'"]


async def test_messages_arrive_as_text_and_drafts_stay(world: World) -> None:
    (world.sandbox.project / "README.md").write_text("x")
    agent = await world.start("[scenario:chat] Hello")
    await agent.until(ENDS)
    await agent.until_seen(Signal.IDLE)
    await world.terminal.type_text(agent.window, "my unfinished draft")

    async def drafted() -> bool:
        return "my unfinished draft" in await agent.screen()

    await agent.eventually(drafted, "draft")
    for number, message in enumerate(MESSAGES, start=2):
        await agent.say(message)
        await agent.until({Signal.PROMPT_ACCEPTED}, number)
        await agent.until(ENDS, number)
        await agent.until_seen(Signal.IDLE)
    prompts = [reading.prompt for reading in agent.readings if reading.prompt]
    assert [message.strip() in prompt for message, prompt in zip(MESSAGES, prompts[1:], strict=True)] == [True] * 8
    assert not [prompt for prompt in prompts if "draft" in prompt]
    await agent.eventually(drafted, "the draft again")


async def test_an_interrupt_is_seen_although_no_hook_tells_it(world: World) -> None:
    agent = await world.start("[scenario:slow-tool seconds=50] go", BYPASS)
    await agent.until({Signal.TOOL_STARTED})
    await agent.until_seen(Signal.BUSY)
    await agent.press_until(Key.ESCAPE, {Signal.IDLE})
    idle = await agent.until_seen(Signal.IDLE)
    assert idle.source is Source.REGISTRY
    await agent.read()
    assert not [item for item in agent.evidence if item.signal in ENDS]


async def test_background_work_keeps_a_turn_open(world: World) -> None:
    agent = await world.start("[scenario:background-shell] go", BYPASS)
    paused = await agent.until({Signal.TURN_PAUSED})
    ended = await agent.until({Signal.TURN_ENDED})
    assert ended.at > paused.at
    assert len([reading for reading in agent.readings if reading.prompt]) == 1


async def test_a_running_claude_does_not_undo_what_was_answered_ahead(world: World, tmp_path: Path) -> None:
    agent = await world.start("[scenario:chat] Hello")
    await agent.until(ENDS)
    (tmp_path / "another").mkdir()
    state_file = world.sandbox.home / ".claude.json"
    await asyncio.to_thread(answer_ahead, state_file, tmp_path / "another", None)
    await agent.say("and on")
    await agent.until(ENDS, 2)
    await agent.stop()
    projects = json.loads(state_file.read_text())["projects"]
    assert projects[str(tmp_path / "another")]["hasTrustDialogAccepted"] is True
