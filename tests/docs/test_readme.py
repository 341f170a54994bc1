"""The commands of the quick start and the README work when they are typed in order, from a fresh home."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ccm_orchestrator.adapters.claude.versions import NEWEST_TESTED, OLDEST
from ccm_orchestrator.adapters.tmux.server import NO_CONTROL_MODE_SINCE
from ccm_orchestrator.adapters.tmux.server import OLDEST as OLDEST_TMUX
from ccm_orchestrator.demo.model import ScriptedModel
from ccm_orchestrator.demo.sandbox import free_port
from tests.claude import SUPPORTED_VERSIONS, claude_binary, claude_versions, clean_env, make_home
from tests.docs.commands import Reader, shell_blocks
from tests.docs.source import CHECKOUT

README = (CHECKOUT / "README.md").read_text()
QUICK_START = (CHECKOUT / "docs" / "quickstart.md").read_text()


@pytest.mark.claude
@pytest.mark.tmux
@pytest.mark.slow
def test_the_commands_of_the_quick_start_and_the_readme_work(tmp_path: Path, scripted_model: ScriptedModel) -> None:
    project = tmp_path / "project"
    project.mkdir()
    subprocess.run(["git", "init", "--quiet", project], check=True)
    programs = [Path(sys.executable).parent, claude_binary(claude_versions()[-1]).parent]
    env = clean_env(make_home(tmp_path, project), scripted_model.base_url)
    env["PATH"] = os.pathsep.join([*map(str, programs), env["PATH"]])
    env["TMUX_TMPDIR"] = str(tmp_path)
    env["CCM_API__PORT"] = str(free_port())
    try:
        Reader(project, env).follow(QUICK_START + README)
    finally:
        subprocess.run(["tmux", "-L", "ccm", "kill-server"], env=env, check=True, timeout=30)


def test_every_file_that_the_readme_links_to_exists() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert links and [link for link in links if not (CHECKOUT / link).exists()] == []


def test_the_versions_that_the_readme_names_are_those_of_the_code() -> None:
    assert f"tested with {' and '.join(SUPPORTED_VERSIONS)}" in README
    assert (str(OLDEST), str(NEWEST_TESTED)) == (SUPPORTED_VERSIONS[0], SUPPORTED_VERSIONS[-1])
    assert f"{'.'.join(map(str, OLDEST_TMUX))} or newer; tested with" in README
    assert f"from {'.'.join(map(str, NO_CONTROL_MODE_SINCE))} on in a slower" in README


PAGE = """# A page
<!-- run -->
```sh
echo one >made-here
```
<!-- run in background until "is ready" -->

```sh
echo the server is ready
exec sleep 600
```
```python
print("another language")
```
<!-- not run: it needs a login that tests do not have -->
```sh
exit 7
```
<!-- run -->
```sh
cat made-here
```
"""


def test_blocks_are_run_in_order_in_one_place(tmp_path: Path) -> None:
    assert Reader(tmp_path, os.environ).follow(PAGE) == ["", "the server is ready\n", "one\n"]


def test_a_failing_command_in_the_middle_of_a_block_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="line 2 ended with 1"):
        Reader(tmp_path, os.environ).follow("<!-- run -->\n```sh\nfalse\necho went on\n```\n")


def test_a_server_that_dies_is_noticed(tmp_path: Path) -> None:
    page = '<!-- run in background until "ready" -->\n```sh\necho no\n```\n'
    with pytest.raises(AssertionError, match=r"ended early:\nno"):
        Reader(tmp_path, os.environ).follow(page)


@pytest.mark.parametrize("mark", ["", "<!-- not run -->\n", "<!-- not run: no -->\n", "<!-- runs -->\n"])
def test_a_block_without_a_reason_is_noticed(mark: str) -> None:
    (block,) = shell_blocks(f"{mark}```sh\nls\n```\n")
    assert not block.is_explained
