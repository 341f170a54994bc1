"""What an agent says on its way reaches those who listen."""

from __future__ import annotations

from ccm_orchestrator.domain.events import EventKind
from ccm_orchestrator.domain.run import Run
from tests.unit.engine.house import House


async def heard(home: House, run: Run) -> list[object]:
    stored = await home.events.read(0, run_id=run.run_id)
    return [each.event.data["text"] for each in stored if each.event.kind is EventKind.AGENT_OUTPUT]


async def test_texts_are_told_as_soon_as_a_hook_comes(home: House) -> None:
    await home.start()
    run = await home.running("Greet.")
    said = home.driver.sayings[run.run_id] = ["I will greet."]
    home.pad.hook(run.run_id, "PreToolUse", {"signal": "tool_started", "transcript_path": "/t.jsonl"})

    async def first() -> bool:
        return await heard(home, run) == ["I will greet."]

    await home.until(first, "the first text")
    said.append("Hello.")
    home.pad.hook(run.run_id, "PostToolUse", {"signal": "tool_finished"})

    async def second() -> bool:
        return await heard(home, run) == ["I will greet.", "Hello."]

    await home.until(second, "the second text")
