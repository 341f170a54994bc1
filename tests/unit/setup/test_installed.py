"""How an installation is recognised, and the command that brings another version into it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ccm_orchestrator import __version__
from ccm_orchestrator.errors import InputError, OrchestratorError
from ccm_orchestrator.setup.installed import Installed, Kind, found_in, installed, require_version

CHECKOUT = {"url": "file:///srv/my%20checkout", "dir_info": {"editable": True}}
UV = '[tool]\nrequirements = [{ name = "ccm-orchestrator", extras = ["otel"] }]\n'


@pytest.mark.parametrize(
    ("files", "direct_url", "is_environment", "kind"),
    [
        ({"uv-receipt.toml": UV}, {}, True, Kind.UV),
        ({"uv-receipt.toml": UV}, {"url": "file:///srv/one.whl", "archive_info": {}}, True, Kind.UV),
        ({"pipx_metadata.json": "{}"}, {}, True, Kind.PIPX),
        ({}, {}, True, Kind.PIP),
        ({}, {}, False, Kind.SYSTEM),
        ({}, CHECKOUT, True, Kind.CHECKOUT),
        ({}, None, True, Kind.CHECKOUT),
    ],
)
def test_it_is_known_by_what_installers_leave(
    files: Mapping[str, str], direct_url: Mapping[str, Any] | None, is_environment: bool, kind: Kind, tmp_path: Path
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert found_in(tmp_path, is_environment, direct_url).kind is kind


def test_homebrew_is_known_by_where_it_keeps_things() -> None:
    found = found_in(Path("/opt/homebrew/Cellar/ccm-orchestrator/1.0/libexec"), True, {})
    assert (found.kind, found.by_hand()) == (Kind.HOMEBREW, "brew upgrade ccm-orchestrator")


def test_a_checkout_is_updated_by_git() -> None:
    found = found_in(Path(sys.prefix), True, CHECKOUT)
    assert found.by_hand() == "cd '/srv/my checkout' && git pull && make setup"
    assert "git checkout v1.2.0 &&" in found.by_hand("1.2.0")
    assert installed().kind is Kind.CHECKOUT


def test_the_binary_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "executable", "/usr/local/bin/ccm-orchestrator")
    assert installed().by_hand() == "install -m 755 NEW-BINARY /usr/local/bin/ccm-orchestrator"


def test_uv_is_told_again_which_extras_there_are(tmp_path: Path, tools: Path) -> None:
    (tmp_path / "uv-receipt.toml").write_text(UV)
    argv = found_in(tmp_path, True, {}).installation("1.2.0")
    assert argv[:3] == [str(tools / "uv"), "tool", "install"] and argv[-1] == "ccm-orchestrator[otel]==1.2.0"


def test_pipx_and_pip_change_their_environment_in_place(environment: Path, tools: Path) -> None:
    for kind in (Kind.PIPX, Kind.PIP):
        argv = Installed(kind, environment).installation("1.2.0")
        assert argv[:5] == [str(environment / "bin" / "python"), "-I", "-m", "pip", "install"]
        assert argv[-2:] == ["--upgrade", "ccm-orchestrator==1.2.0"]


def test_an_environment_without_pip_is_changed_by_uv(environment: Path, tools: Path) -> None:
    _says(environment / "bin" / "python", "", "; exit 1")
    argv = Installed(Kind.PIPX, environment).installation("1.2.0")
    assert argv[:5] == [str(tools / "uv"), "pip", "install", "--python", str(environment / "bin" / "python")]


def test_what_is_offered_is_asked_of_the_installer(environment: Path, tools: Path) -> None:
    here = Installed(Kind.PIP, environment)
    report = {"install": [{"metadata": {"name": "rich", "version": "1"}}]}
    _says(environment / "bin" / "python", json.dumps(report))
    assert here.offered(None) is None
    report["install"].append({"metadata": {"name": "ccm_orchestrator", "version": "1.2.0"}})
    _says(environment / "bin" / "python", json.dumps(report))
    assert here.offered(None) == "1.2.0"
    by_uv = Installed(Kind.UV, environment)
    _says(tools / "uv", " - ccm-orchestrator==1.0.0\n + ccm-orchestrator==1.2.0", ">&2")
    assert by_uv.offered(None) == "1.2.0"
    _says(tools / "uv", f" + ccm-orchestrator=={__version__}", ">&2")
    assert by_uv.offered(None) is None


def test_an_installer_that_fails_or_is_missing_is_named(tmp_path: Path, tools: Path) -> None:
    _says(tools / "uv", "no such version", ">&2; exit 1")
    with pytest.raises(OrchestratorError, match=r"uv pip install .* failed: no such version"):
        Installed(Kind.UV, tmp_path).offered("9")
    (tools / "uv").unlink()
    with pytest.raises(InputError, match="there is no `uv` on PATH"):
        Installed(Kind.UV, tmp_path).offered("9")


@pytest.mark.parametrize("version", ["", "latest", "-x", "1 2", "../1"])
def test_what_is_no_version_is_refused(version: str) -> None:
    with pytest.raises(InputError, match="Expected a version"):
        require_version(version)


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """With an interpreter that does nothing, and so has a pip."""
    (tmp_path / "environment" / "bin").mkdir(parents=True)
    _says(tmp_path / "environment" / "bin" / "python", "")
    return tmp_path / "environment"


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """PATH, with a uv that does nothing."""
    place = tmp_path / "tools"
    place.mkdir()
    _says(place / "uv", "")
    monkeypatch.setenv("PATH", str(place))
    return place


def _says(tool: Path, text: str, where: str = "") -> None:
    quoted = text.replace("'", "")
    tool.write_text(f"#!/bin/sh\necho '{quoted}' {where}\n")
    tool.chmod(0o755)
