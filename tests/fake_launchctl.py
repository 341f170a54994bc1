"""A `launchctl` that knows jobs, after Apple's launchctl(1) and launchd.plist(5).

    fake_launchctl.py STATE bootstrap|bootout|enable|kickstart|print …

It was not compared with a Mac: it refuses what the manuals do not have, and is as slow to let go of a job as launchd.
With `CCM_FAKE_RUNS` it starts and ends their programs, too; it starts none again that ended by itself.
"""

from __future__ import annotations

import json
import os
import plistlib
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

KEYS: dict[str, type | tuple[type, ...]] = {
    "Label": str,
    "ProgramArguments": list,
    "RunAtLoad": bool,
    "KeepAlive": (bool, dict),
    "ThrottleInterval": int,
    "AbandonProcessGroup": bool,
    "ExitTimeOut": int,
    "ProcessType": str,
    "EnvironmentVariables": dict,
    "SoftResourceLimits": dict,
    "StandardOutPath": str,
    "StandardErrorPath": str,
    "WorkingDirectory": str,
}
"""Those of launchd.plist(5) that we use, with their types."""
PROCESS_TYPES = ("Background", "Standard", "Adaptive", "Interactive")
LIMITS = (
    "Core",
    "CPU",
    "Data",
    "FileSize",
    "MemoryLock",
    "NumberOfFiles",
    "NumberOfProcesses",
    "ResidentSetSize",
    "Stack",
)
LINGERS = 2
"""So many looks at a job that was unloaded still find it."""
END_S = 20.0


class Refused(Exception):
    """With launchctl's exit code."""


def faults(values: dict[str, Any]) -> list[str]:
    """What launchd.plist(5) does not have."""
    found = [f"unknown key {key}" for key in values if key not in KEYS]
    found += [
        f"{key} has the wrong type" for key, kind in KEYS.items() if key in values and not isinstance(values[key], kind)
    ]
    found += [f"{key} is missing" for key in ("Label", "ProgramArguments") if not values.get(key)]
    if values.get("ProcessType", "Standard") not in PROCESS_TYPES:
        found.append(f"unknown ProcessType {values['ProcessType']}")
    found += [f"unknown limit {name}" for name in values.get("SoftResourceLimits", {}) if name not in LIMITS]
    words = [*values.get("ProgramArguments", []), *values.get("EnvironmentVariables", {}).values()]
    found += [f"{word!r} is no string" for word in words if not isinstance(word, str)]
    return found


def called(jobs: dict[str, Any], command: str, arguments: list[str]) -> str:
    """What it prints. Changes `jobs`, by domain and label. Raises: Refused."""
    if command == "bootstrap":
        domain, file = arguments
        values = plistlib.loads(Path(file).read_bytes())
        if wrong := faults(values):
            raise Refused(78, f"{file}: {'; '.join(wrong)}")
        target = f"{domain}/{values['Label']}"
        if target in jobs:
            raise Refused(5, "Bootstrap failed: 5: Input/output error")
        jobs[target] = {"starts": 0, "leaves": None, "values": values, "pid": None}
        if values.get("RunAtLoad", False):
            begin(jobs[target])
        return ""
    if command == "enable":
        return ""
    target = arguments[-1]
    job = jobs.get(target)
    if job is None:
        raise Refused(
            *((3, "Boot-out failed: 3: No such process") if command == "bootout" else (113, "Could not find service"))
        )
    if command == "bootout":
        job["leaves"] = LINGERS
        end(job)
        return ""
    if command == "kickstart":
        if arguments[0] == "-k" or not runs(job):
            end(job)
            begin(job)
        return ""
    if command != "print":
        raise Refused(64, f"Unrecognized subcommand: {command}")
    if job["leaves"] is not None:
        job["leaves"] -= 1
        if job["leaves"] < 0:
            del jobs[target]
            raise Refused(113, "Could not find service")
    return f"{target} = {{\n\tstate = {'running' if runs(job) else 'not running'}\n\truns = {job['starts']}\n}}\n"


def begin(job: dict[str, Any]) -> None:
    job["starts"] += 1
    if "CCM_FAKE_RUNS" not in os.environ:
        return
    values = job["values"]
    environment = {"PATH": os.defpath, "HOME": os.environ["HOME"], **values.get("EnvironmentVariables", {})}
    with Path(values["StandardOutPath"]).open("ab") as output:
        job["pid"] = subprocess.Popen(
            values["ProgramArguments"],
            env=environment,
            cwd=values.get("WorkingDirectory"),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        ).pid


def end(job: dict[str, Any]) -> None:
    """Returns when it has."""
    deadline = time.monotonic() + END_S
    if job["pid"] is not None and runs(job):
        os.kill(job["pid"], signal.SIGTERM)
        while runs(job) and time.monotonic() < deadline:
            time.sleep(0.05)


def runs(job: dict[str, Any]) -> bool:
    if job["pid"] is None:
        return bool(job["starts"])
    try:
        return Path(f"/proc/{job['pid']}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def main(state: Path, command: str, arguments: list[str]) -> int:
    jobs = json.loads(state.read_text()) if state.exists() else {}
    try:
        sys.stdout.write(called(jobs, command, arguments))
        return 0
    except Refused as refused:
        code, said = refused.args
        sys.stderr.write(f"{said}\n")
        return int(code)
    finally:
        state.write_text(json.dumps(jobs))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:]))
