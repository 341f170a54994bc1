"""Attack 44 with the real Claude Code: what it runs of a repository, by itself or for a skill, is seen beforehand."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ccm_orchestrator.adapters.claude.nested_skills import NestedSkills
from ccm_orchestrator.adapters.claude.project_files import ProjectFiles
from ccm_orchestrator.demo.model import ScriptedModel
from ccm_orchestrator.demo.scenario import Scenario
from tests.claude import ClaudeSandbox

pytestmark = pytest.mark.claude

TRUSTING = ("--permission-mode", "acceptEdits", "--allowedTools", "Skill")


class Repository:
    """One in which everything that runs leaves a file that tells where it came from."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.marks = root / "marks"
        self.marks.mkdir()

    def put(self, name: str, content: object) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))

    def touch(self, mark: str) -> str:
        return f"touch {self.marks}/{mark}"

    def hooks(self, mark: str) -> dict[str, Any]:
        return {"hooks": {"SessionStart": [{"hooks": [{"type": "command", "command": self.touch(mark)}]}]}}

    def skill(self, place: str, mark: str) -> None:
        handler = f"- type: command\n          command: {self.touch(mark + '-hook')}"
        hooks = f"hooks:\n  PreToolUse:\n    - matcher: Bash\n      hooks:\n        {handler}"
        head = f"name: {mark}\ndescription: x\nallowed-tools: Bash(sh *)\n{hooks}"
        self.put(f"{place}/SKILL.md", f"---\n{head}\n---\nbody of {mark} !`{self.touch(mark + '-command')}`\n")

    def plugin(self, place: str, mark: str) -> None:
        server = {"command": "/bin/sh", "args": ["-c", self.touch(mark + "-server")]}
        self.put(f"{place}/.claude-plugin/plugin.json", {"name": mark, "version": "1.0.0", "description": "x"})
        self.put(f"{place}/hooks/hooks.json", self.hooks(mark + "-hook"))
        self.put(f"{place}/.mcp.json", {"mcpServers": {mark: server}})

    def left(self) -> set[str]:
        return {path.name for path in self.marks.iterdir()}


def work(sandbox: ClaudeSandbox, first: dict[str, Any], skill: str, then: str) -> None:
    """Looks at a file, uses a skill, and does what the skill is to allow."""
    done = {"say": "[DONE]"}
    turns = [{"tool": [first]}, {"tool": [{"name": "Skill", "input": {"skill": skill}}]}, done]
    after = [{"tool": [{"name": "Bash", "input": {"command": then}}]}, done]
    scenario = {"name": "s", "summary": "x", "turn": turns, "prompt": [{"match": "body of", "turn": after}]}
    model = ScriptedModel([Scenario.model_validate(scenario)])
    with model.in_thread():
        assert replace(sandbox, model=model).print_run("[scenario:s]", *TRUSTING).returncode == 0


def seen(sandbox: ClaudeSandbox) -> set[str]:
    files = ProjectFiles(NestedSkills(sandbox.env), sandbox.home / ".claude")
    return {risk.file for risk in files.risks(sandbox.project)}


def test_attack_44_skills_below_and_plugins_among_skills(claude_sandbox: ClaudeSandbox) -> None:
    repository = Repository(claude_sandbox.project)
    subprocess.run(["git", "init", "-q", repository.root], check=True)
    repository.plugin(".claude/skills/plugin", "plugin")
    repository.skill("sub/.claude/skills/nested", "nested")
    repository.put("sub/.claude/settings.json", repository.hooks("nested-settings"))
    repository.put("sub/file.txt", "x")
    reading = {"name": "Read", "input": {"file_path": str(repository.root / "sub" / "file.txt")}}
    work(claude_sandbox, reading, "nested", f"sh -c '{repository.touch('nested-right')}'")
    assert repository.left() == {"plugin-hook", "plugin-server", "nested-command", "nested-hook", "nested-right"}
    assert seen(claude_sandbox) == {".claude/skills/plugin", "sub/.claude/skills/nested/SKILL.md"}


def test_attack_44_skills_above_where_there_is_no_repository_and_a_head_in_odd_yaml(
    claude_sandbox: ClaudeSandbox, tmp_path: Path
) -> None:
    repository = Repository(claude_sandbox.project)
    skill = tmp_path / ".claude" / "skills" / "odd" / "SKILL.md"
    skill.parent.mkdir(parents=True)
    hook = f"PreToolUse: [{{hooks: [{{type: command, command: {repository.touch('odd-hook')}}}]}}]"
    skill.write_text(f"---\nname: odd\ndescription: x\n? hooks\n: {{{hook}}}\nversion: 1---\nbody of odd")
    listing = {"name": "Bash", "input": {"command": "ls"}}
    work(claude_sandbox, listing, "odd", "pwd")
    assert repository.left() == {"odd-hook"}
    assert seen(claude_sandbox) == {str(skill)}
