"""What the agent says, as its transcript grows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ccm_orchestrator.adapters.claude import saying
from ccm_orchestrator.adapters.claude.saying import said_since


def line(*blocks: dict[str, Any], kind: str = "assistant", **more: Any) -> str:
    return json.dumps({"type": kind, "message": {"content": list(blocks)}, **more}, ensure_ascii=False) + "\n"


def words(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def test_texts_are_told_once_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(
        line(words("Hällo\nthere \u2028 you"), {"type": "tool_use", "name": "Bash"}) + line(words("More"))[:-5]
    )
    texts, place = said_since(path, 0)
    assert texts == ["Hällo\nthere \u2028 you"]
    with path.open("a") as file:
        file.write(line(words("More"))[-5:])
    assert said_since(path, place) == (["More"], path.stat().st_size)
    assert said_since(path, path.stat().st_size) == ([], path.stat().st_size)


def test_only_the_agent_itself_speaks(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    others = line(words("you"), kind="user") + line(words("sub"), isSidechain=True) + line({"type": "tool_use"})
    path.write_text(others + '{"type":"assistant"\n["assistant"]\n' + line(words(" me ")))
    assert said_since(path, 0)[0] == ["me"]


def test_what_was_there_before_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(line(words("old")))
    assert said_since(path, None) == ((), path.stat().st_size)
    assert said_since(tmp_path / "none.jsonl", None) == ((), 0)
    assert said_since(tmp_path / "none.jsonl", 7) == ((), 7)


def test_much_is_read_in_parts(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(saying, "MOST_BYTES", 200)
    path = tmp_path / "t.jsonl"
    path.write_text("".join(line(words(f"{number}")) for number in range(20)))
    told, place = list[str](), 0
    while place < path.stat().st_size:
        texts, place = said_since(path, place)
        told += texts
    assert told == [str(number) for number in range(20)]
