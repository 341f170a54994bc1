"""Messages API requests as Claude Code writes them, as far as the scripted model reads them."""

from typing import Any

REMINDER = {"type": "text", "text": "<system-reminder>\nToday is a day.\n</system-reminder>\n"}

Body = dict[str, Any]
Message = dict[str, Any]


def text(words: str) -> Message:
    return {"type": "text", "text": words}


def user(*blocks: Any) -> Message:
    return {"role": "user", "content": [text(block) if isinstance(block, str) else block for block in blocks]}


def assistant(words: str = "", *tool_ids: str) -> Message:
    calls = [{"type": "tool_use", "id": tool_id, "name": "Bash", "input": {}} for tool_id in tool_ids]
    return {"role": "assistant", "content": [*([text(words)] if words else []), *calls]}


def result(words: str = "fine", tool_id: str = "t1", *, is_error: bool = False) -> Message:
    return {"type": "tool_result", "tool_use_id": tool_id, "content": words, "is_error": is_error}


def body(
    *messages: Message, session_id: str = "s1", tools: tuple[str, ...] = ("Bash",), cwd: str = "/home/u/p"
) -> Body:
    return {
        "model": "claude-test",
        "stream": True,
        "system": [text(f"# Environment\n - Primary working directory: {cwd}\n - Platform: linux")],
        "metadata": {"user_id": f'{{"device_id": "d", "session_id": "{session_id}"}}'},
        "tools": [{"name": name} for name in tools],
        "messages": list(messages),
    }
