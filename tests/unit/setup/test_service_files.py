"""The files of the services: right for this installation, well-formed, and as hardened as they claim."""

from __future__ import annotations

import plistlib
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from ccm_orchestrator.engine.parts import Limits
from ccm_orchestrator.engine.watchdog import CHECK_S, PROOF_LOOKS, RESTART_PAUSE_S
from ccm_orchestrator.settings import Settings
from ccm_orchestrator.setup.service_files import DAEMON, LABELS, TMUX, Installation, launch_agents, systemd_units
from ccm_orchestrator.wiring.announcing import PATIENCE_S
from ccm_orchestrator.wiring.serving import STOP_LIMIT_S
from tests.docs.source import CHECKOUT

NASTY = Installation(
    executable=Path("/opt/a b/100%/c$d/ccm-orchestrator"),
    user="anna",
    home=Path("/home/anna"),
    path='/usr/bin:/opt/"x"',
    config=Path("/etc/ccm.toml"),
)
UNITS = sorted((CHECKOUT / "systemd").glob("*.service"))
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
KNOWN_KEYS = {
    "AbandonProcessGroup", "EnvironmentVariables", "ExitTimeOut", "KeepAlive", "Label", "ProcessType",
    "ProgramArguments",
    "RunAtLoad", "SoftResourceLimits", "StandardErrorPath", "StandardOutPath", "ThrottleInterval", "WorkingDirectory",
}  # fmt: skip
"""As Apple's launchd.plist(5) has them."""


@pytest.mark.parametrize("system", [False, True])
def test_units_run_this_installation_whatever_its_path_is(system: bool) -> None:
    for text in systemd_units(NASTY, system).values():
        assert 'ExecStart="/opt/a b/100%%/c$$d/ccm-orchestrator" ' in text
        assert (
            'Environment="PATH=/usr/bin:/opt/\\"x\\""\nEnvironment="CCM_CONFIG=/etc/ccm.toml"\nEnvironmentFile=' in text
        )
        assert "/.local/bin/" not in text and "/usr/local/bin/" not in text


def test_each_template_is_used_and_each_user_of_a_machine_has_units_of_their_own() -> None:
    shipped = {unit.name for unit in UNITS}
    assert shipped == {name.replace("@anna", "@") for system in (False, True) for name in systemd_units(NASTY, system)}
    others = systemd_units(replace(NASTY, user="bert"), True)
    assert not others.keys() & systemd_units(NASTY, True).keys()


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_no_service_ever_gives_up_and_agents_end_with_no_daemon(unit: Path) -> None:
    text = unit.read_text()
    assert "StartLimitIntervalSec=0" in text and "Restart=always" in text
    assert ("WatchdogSec" in text) == ("ccm-orchestrator serve\n" in text)
    assert not any(line.startswith(("PartOf=", "BindsTo=", "Requires=")) for line in text.splitlines())


@pytest.mark.parametrize("unit", [unit for unit in UNITS if "tmux" not in unit.name], ids=lambda unit: unit.name)
def test_a_daemon_that_hangs_is_running_again_within_45_seconds(unit: Path) -> None:
    values = dict(line.split("=", 1) for line in unit.read_text().splitlines() if re.match(r"\w+Sec=", line))
    start_s = 5.0
    as_a_whole_s = (
        float(values["WatchdogSec"]) + float(values["TimeoutAbortSec"]) + float(values["RestartSec"]) + start_s
    )
    patience_s = max(Settings().watchdog_s, Limits().remote_beat_s)
    within_s = patience_s + RESTART_PAUSE_S + patience_s + float(values["RestartSec"])
    assert max(as_a_whole_s, within_s) <= 45
    assert float(values["TimeoutStartSec"]) == PATIENCE_S
    assert STOP_LIMIT_S < 10 < float(values["TimeoutStopSec"])
    assert float(values["WatchdogSec"]) > 2 * PROOF_LOOKS * CHECK_S, "a proof that gets lost does no harm"


@needs_systemd
@pytest.mark.parametrize("system", [False, True])
def test_systemd_finds_no_fault_in_them(system: bool, tmp_path: Path) -> None:
    executable = tmp_path / "ccm-orchestrator"
    executable.write_text("#!/bin/sh\n")
    executable.chmod(0o755)
    units = systemd_units(Installation(executable, "root", Path("/root"), "/usr/bin"), system)
    files = [tmp_path / name for name in units]
    for file in files:
        file.write_text(units[file.name])
    manager = [] if system else ["--user"]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run(
        ["systemd-analyze", *manager, "verify", "--man=no", *files], capture_output=True, text=True, env=environment
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needs_systemd
@pytest.mark.parametrize(
    ("unit", "most"), [("ccm-orchestrator@.service", 2.0), ("ccm-orchestrator-tmux@.service", 5.0)]
)
def test_attack_50_the_machines_services_are_exposed_no_more_than_promised(unit: str, most: float) -> None:
    file = str(CHECKOUT / "systemd" / unit)
    argv = ["systemd-analyze", "security", "--offline=yes", f"--threshold={most * 10:.0f}", file]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-200:]


def test_launch_agents_use_documented_keys_only_and_this_installation() -> None:
    files = {name: plistlib.loads(content) for name, content in launch_agents(NASTY).items()}
    assert set(files) == {f"{label}.plist" for label in LABELS.values()}
    for name, values in files.items():
        assert set(values) <= KNOWN_KEYS
        assert values["ProgramArguments"][0] == str(NASTY.executable) and values["KeepAlive"] is True
        assert values["EnvironmentVariables"]["CCM_CONFIG"] == "/etc/ccm.toml" and f"{values['Label']}.plist" == name
    assert files[f"{LABELS[DAEMON]}.plist"]["AbandonProcessGroup"] is True
    assert LABELS[TMUX] in files[f"{LABELS[DAEMON]}.plist"]["EnvironmentVariables"]["CCM_TMUX__START_COMMAND"]


@pytest.mark.parametrize("system", [False, True])
def test_systemd_listens_to_the_binarys_child(system: bool) -> None:
    """Which is the daemon; what systemd started only unpacked it."""
    binary = systemd_units(replace(NASTY, is_frozen=True), system)
    assert [name for name, text in binary.items() if "Type=notify\nNotifyAccess=all\n" in text] == [
        name for name in binary if TMUX not in name
    ]
    assert not any("NotifyAccess" in text for text in systemd_units(NASTY, system).values())
