"""The real Claude Code for tests: pinned releases, a prepared home, a clean environment, the scripted model.

Registered as a pytest plugin by `tests/conftest.py`; the fixtures are at the end.
`CCM_TEST_CLAUDE_VERSIONS="2.1.329"` chooses the releases (space separated, oldest first).
"""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from ccm_orchestrator.demo.model import ScriptedModel
from ccm_orchestrator.demo.scenario import shipped_scenarios

SUPPORTED_VERSIONS = ("2.1.197", "2.1.329")
DUMMY_KEY = "sk-ant-scripted-model-0000000000"
PRINT_LIMIT_S = 90.0
_INSTALL_LIMIT_S = 900.0
_INSTALLER = Path(__file__).parents[1] / "scripts" / "install-claude"


def claude_versions() -> tuple[str, ...]:
    return tuple(os.environ.get("CCM_TEST_CLAUDE_VERSIONS", "").split()) or SUPPORTED_VERSIONS


@cache
def claude_binary(version: str) -> Path:
    """The executable of that release, downloaded by `scripts/install-claude` when it is not there yet."""
    installer = subprocess.run(
        [_INSTALLER, version], capture_output=True, text=True, timeout=_INSTALL_LIMIT_S, check=False
    )
    if installer.returncode:
        raise RuntimeError(f"Claude Code {version} is not available: {installer.stderr.strip()}")
    return Path(installer.stdout.strip())


def make_home(directory: Path, *projects: Path) -> Path:
    """A HOME below `directory` in which Claude Code asks nothing at start and trusts the projects."""
    home = directory / "home"
    home.mkdir()
    state = {
        "hasCompletedOnboarding": True,
        "theme": "dark",
        "customApiKeyResponses": {"approved": [DUMMY_KEY[-20:]], "rejected": []},
        "projects": {str(project.resolve()): {"hasTrustDialogAccepted": True} for project in projects},
    }
    (home / ".claude.json").write_text(json.dumps(state))
    return home


def clean_env(home: Path, base_url: str) -> dict[str, str]:
    """A whole environment: nothing inherited but PATH, and no way to anything but `base_url`."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
        "ANTHROPIC_BASE_URL": base_url,
        "ANTHROPIC_API_KEY": DUMMY_KEY,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
        "DISABLE_INSTALLATION_CHECKS": "1",
    }


@dataclass(frozen=True)
class PrintRun:
    """What `claude -p --output-format stream-json` left behind."""

    returncode: int
    lines: tuple[dict[str, Any], ...]
    stderr: str

    @property
    def result(self) -> dict[str, Any]:
        """The result record, which is the last of its kind."""
        return next(line for line in reversed(self.lines) if line["type"] == "result")

    @property
    def tool_results(self) -> list[dict[str, Any]]:
        """All `tool_result` blocks, in order."""
        contents = [line["message"]["content"] for line in self.lines if line["type"] == "user"]
        blocks = [block for content in contents if isinstance(content, list) for block in content]
        return [block for block in blocks if block["type"] == "tool_result"]


@dataclass(frozen=True)
class ClaudeSandbox:
    """One release of Claude Code, a project it trusts, and a scripted model to talk to."""

    version: str
    binary: Path
    home: Path
    project: Path
    model: ScriptedModel

    @property
    def env(self) -> dict[str, str]:
        return clean_env(self.home, self.model.base_url)

    def print_run(self, prompt: str, *arguments: str, env: Mapping[str, str] | None = None) -> PrintRun:
        """Runs `claude -p` to its end with the prompt on stdin; `env` is added to the clean one."""
        process = subprocess.run(
            [self.binary, "-p", "--output-format", "stream-json", "--verbose", *arguments],
            input=prompt,
            capture_output=True,
            text=True,
            cwd=self.project,
            env={**self.env, **(env or {})},
            timeout=PRINT_LIMIT_S,
            check=False,
        )
        lines = tuple(json.loads(line) for line in process.stdout.splitlines() if line.strip())
        return PrintRun(process.returncode, lines, process.stderr)


@pytest.fixture
def scripted_model() -> Iterator[ScriptedModel]:
    """A running scripted model with the shipped scenarios, in a thread of its own."""
    model = ScriptedModel(shipped_scenarios())
    with model.in_thread():
        yield model


@pytest.fixture(params=claude_versions())
def claude_version(request: pytest.FixtureRequest) -> str:
    """Each release under test in turn."""
    version: str = request.param
    return version


@pytest.fixture
def claude_sandbox(claude_version: str, tmp_path: Path, scripted_model: ScriptedModel) -> ClaudeSandbox:
    """Each release under test in turn, in an empty project of its own."""
    return _sandbox(claude_version, tmp_path, scripted_model)


@pytest.fixture
def newest_claude_sandbox(tmp_path: Path, scripted_model: ScriptedModel) -> ClaudeSandbox:
    """Only the newest release under test, for what does not depend on the release."""
    return _sandbox(claude_versions()[-1], tmp_path, scripted_model)


def _sandbox(version: str, directory: Path, model: ScriptedModel) -> ClaudeSandbox:
    project = directory / "project"
    project.mkdir()
    return ClaudeSandbox(version, claude_binary(version), make_home(directory, project), project, model)
