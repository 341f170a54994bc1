"""scripts/install-claude, without the network: npm is a script of ours."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

INSTALLER = Path(__file__).parents[2] / "scripts" / "install-claude"
LIMIT_S = 60.0

NPM = """#!/bin/sh
echo "$@" >> "$NPM_LOG"
while [ "$1" != --prefix ]; do shift; done
modules=$2/node_modules/@anthropic-ai
for platform in a-broken b-fitting; do
    mkdir -p "$modules/claude-code-$platform"
done
printf '#!/bin/sh\\nexit 127\\n' > "$modules/claude-code-a-broken/claude"
printf '#!/bin/sh\\necho "%s (Claude Code)"\\n' "$NPM_VERSION" > "$modules/claude-code-b-fitting/claude"
"""


class Installer:
    def __init__(self, directory: Path) -> None:
        self.cache = directory / "cache"
        self.bin = directory / "bin"
        self.log = directory / "npm.log"
        self.bin.mkdir()
        self.env = {
            "PATH": f"{self.bin}:{os.defpath}",
            "CCM_CLAUDE_CACHE": str(self.cache),
            "NPM_LOG": str(self.log),
            "NPM_VERSION": "9.8.7",
        }

    def add_npm(self, text: str = NPM) -> None:
        npm = self.bin / "npm"
        npm.write_text(text)
        npm.chmod(0o755)

    def run(self, *versions: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [INSTALLER, *versions], env=self.env, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )


@pytest.fixture
def installer(tmp_path: Path) -> Installer:
    return Installer(tmp_path)


def test_a_release_is_installed_once_and_its_executable_printed(installer: Installer) -> None:
    installer.add_npm()
    first, second = installer.run("9.8.7"), installer.run("9.8.7")
    executable = installer.cache / "9.8.7" / "claude"
    assert (first.returncode, first.stdout) == (0, f"{executable}\n")
    assert "downloading Claude Code 9.8.7 from npm" in first.stderr
    assert (second.returncode, second.stdout) == (0, f"{executable}\n")
    assert "already in" in second.stderr
    assert subprocess.check_output([executable], text=True) == "9.8.7 (Claude Code)\n"
    (call,) = installer.log.read_text().splitlines()
    assert call.endswith("@anthropic-ai/claude-code@9.8.7")
    assert "--ignore-scripts" in call and " -g" not in call
    assert [path.name for path in installer.cache.iterdir()] == ["9.8.7"]


def test_several_releases_are_printed_in_order(installer: Installer) -> None:
    for version in ("1.0.0", "2.0.0"):
        executable = installer.cache / version / "claude"
        executable.parent.mkdir(parents=True)
        executable.write_text("#!/bin/sh\n")
        executable.chmod(0o755)
    run = installer.run("2.0.0", "1.0.0")
    assert run.stdout.splitlines() == [f"{installer.cache}/{version}/claude" for version in ("2.0.0", "1.0.0")]


def test_another_release_than_asked_for_is_refused(installer: Installer) -> None:
    installer.add_npm()
    run = installer.run("1.2.3")
    assert (run.returncode, run.stdout) == (1, "")
    assert "asked npm for Claude Code 1.2.3, but the executable says '9.8.7 (Claude Code)'" in run.stderr
    assert list(installer.cache.iterdir()) == []


def test_a_missing_npm_is_named_with_the_way_out(installer: Installer) -> None:
    installer.env["PATH"] = str(installer.bin)
    (installer.bin / "dirname").symlink_to(str(shutil.which("dirname")))
    run = installer.run("9.8.7")
    assert run.returncode == 1
    assert "npm is not on PATH" in run.stderr and "apt-get install npm" in run.stderr


def test_a_failing_npm_leaves_nothing_behind(installer: Installer) -> None:
    installer.add_npm("#!/bin/sh\necho no such release >&2\nexit 1\n")
    run = installer.run("9.8.7")
    assert run.returncode == 1
    assert "no such release" in run.stderr
    assert "npm could not install @anthropic-ai/claude-code@9.8.7" in run.stderr
    assert list(installer.cache.iterdir()) == []


@pytest.mark.parametrize("version", ["latest", "2.1", "^2.1.0", "2.1.0-rc.1", "1.2.3.4", "", "../../x", ".1.2"])
def test_only_an_exact_release_is_taken(installer: Installer, version: str) -> None:
    run = installer.run(version)
    assert run.returncode == 2
    assert f"'{version}' is not an exact release" in run.stderr


def test_no_version_is_a_usage_error(installer: Installer) -> None:
    run = installer.run()
    assert run.returncode == 2 and "usage:" in run.stderr
