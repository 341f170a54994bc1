"""The directories in which agents work."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from ccm_orchestrator.setup.check import Check, Verdict


def projects(registered: Mapping[str, Path]) -> Iterator[Check]:
    if not registered:
        yield Check("projects", Verdict.OK, "none is registered yet")
    for name, path in registered.items():
        yield project(name, path)


def project(name: str, path: Path) -> Check:
    label, quoted = f"project {name}", shlex.quote(str(path))
    if not path.is_dir():
        fix = "Restore the directory, or forget the project."
        command = f"ccm-orchestrator project remove {shlex.quote(name)}"
        return Check(label, Verdict.WARN, f"{path} is gone", "Its tasks are held.", fix, command)
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        why, command = "Agents cannot change anything in it.", f"sudo chown -R $USER {quoted}"
        return Check(
            label, Verdict.FAIL, f"{path} cannot be written by this user", why, "Give it to the user.", command
        )
    if path.stat().st_uid != os.geteuid():
        why = "git refuses to work in the directory of another user (dubious ownership)."
        command = f"sudo chown -R $USER {quoted}"
        return Check(
            label, Verdict.WARN, f"{path} belongs to user {path.stat().st_uid}", why, "Give it to the user.", command
        )
    if not any((parent / ".git").exists() for parent in (path, *path.parents)):
        why = "Results cannot say what changed in it, and nothing can be taken back."
        return Check(label, Verdict.WARN, f"{path} is not under git", why, "Make it one.", f"git -C {quoted} init -q")
    return Check(label, Verdict.OK, str(path))


def agent_state(environment: Mapping[str, str]) -> Check:
    """Claude Code's own file, into which the daemon writes that a project is trusted."""
    home = environment.get("CLAUDE_CONFIG_DIR") or environment.get("HOME") or str(Path.home())
    path, name = Path(home) / ".claude.json", "agent's answers"
    why = "Trust in a project is written there before an agent starts; else it stands at a question."
    quoted = shlex.quote(str(path))
    if not path.exists():
        return Check(name, Verdict.OK, f"{path} (made with the first agent)")
    try:
        found = json.loads(path.read_bytes() or b"{}")
        if not isinstance(found, dict):
            raise ValueError("it holds no object")
    except ValueError as error:
        command = f"mv {quoted} {quoted}.aside"
        fix = "Mend it, or move it aside: Claude Code makes a new one."
        return Check(name, Verdict.FAIL, f"{path} is not valid JSON: {error}", why, fix, command)
    except OSError as error:
        return Check(
            name, Verdict.FAIL, f"{path}: {error.strerror}", why, "Let its user read it.", f"chmod 600 {quoted}"
        )
    onboarded = "" if found.get("hasCompletedOnboarding") else " (the daemon answers the onboarding)"
    return Check(name, Verdict.OK, f"{path}{onboarded}")
