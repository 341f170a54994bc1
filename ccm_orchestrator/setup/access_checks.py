"""Who may read and write what must be its owner's alone."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

from ccm_orchestrator.security.secrets import API_TOKEN_FILE, INTERNAL_SECRET_FILE, SHORTEST_SECRET
from ccm_orchestrator.settings import Settings
from ccm_orchestrator.setup.check import Check, Verdict

SECRET_WHY = "Whoever reads it can command your agents, or has your key."


def private_file(name: str, path: Path, why: str = SECRET_WHY) -> Check:
    """An existing file that is its owner's alone."""
    info, quoted = path.stat(), shlex.quote(str(path))
    if info.st_uid != os.geteuid():
        fix = "Make the daemon's user its owner."
        return Check(
            name, Verdict.FAIL, f"{path} belongs to user {info.st_uid}", why, fix, f"sudo chown $USER {quoted}"
        )
    if stat.S_IMODE(info.st_mode) & 0o077:
        found = f"{path} is open to others ({stat.filemode(info.st_mode)})"
        return Check(name, Verdict.FAIL, found, why, "Close it.", f"chmod go= {quoted}", safe=True)
    return Check(name, Verdict.OK, f"{path} is its owner's alone")


def config_file(path: Path) -> Check:
    """Anybody may read one without secrets (the settings refuse the other kind); nobody else may write it."""
    name, why = "configuration file", "It says which commands are run."
    if not path.exists():
        return Check(name, Verdict.OK, f"{path} does not exist; the defaults are good")
    info = path.stat()
    if info.st_uid not in (os.geteuid(), 0):
        return private_file(name, path, why)
    if stat.S_IMODE(info.st_mode) & 0o022:
        found = f"{path} can be written by others ({stat.filemode(info.st_mode)})"
        return Check(name, Verdict.FAIL, found, why, "Close it.", f"chmod go-w {shlex.quote(str(path))}", safe=True)
    return Check(name, Verdict.OK, str(path))


def token_files(state: Path) -> Iterator[Check]:
    """The secrets that the daemon makes for itself."""
    for file in (API_TOKEN_FILE, INTERNAL_SECRET_FILE):
        path = state / file
        if not path.exists():
            continue
        check = private_file(file, path)
        if check.verdict is Verdict.OK and path.stat().st_size < SHORTEST_SECRET:
            why, fix = "The daemon does not start with it.", "Delete it: the daemon makes a new one when it starts."
            yield Check(file, Verdict.FAIL, f"{path} is cut short", why, fix, f"rm {shlex.quote(str(path))}", safe=True)
        else:
            yield check


def secret_files(settings: Settings) -> Iterator[Check]:
    """Those that the configuration names."""
    table = settings.supabase
    named = {
        "supabase.key_file": table.key_file,
        "supabase.system_token_file": table.system_token_file,
        "supabase.jwt_secret_file": table.jwt_secret_file,
        "supabase.signing_key_file": table.signing_key_file,
        "remote.tls_key": settings.remote.tls_key,
    }
    named |= {f"notifications.targets.{key}": t.url_file for key, t in settings.notifications.targets.items()}
    for name, path in named.items():
        if path is None:
            continue
        if not path.is_file():
            why, fix = "The daemon does not start without it.", f"Write it, or take `{name}` out of the configuration."
            yield Check(name, Verdict.FAIL, f"{path} does not exist", why, fix)
        else:
            yield private_file(name, path)


def private_tree(state: Path) -> Iterator[Check]:
    """What stands at the top of the state directory."""
    if not state.is_dir():
        return
    open_paths, foreign = [], []
    for path in sorted(state.iterdir()):
        info = path.lstat()
        if stat.S_ISLNK(info.st_mode):
            continue
        if info.st_uid != os.geteuid():
            foreign.append(path.name)
        elif stat.S_IMODE(info.st_mode) & 0o022:
            open_paths.append(path)
    why = "Others could change what the daemon believes."
    quoted = " ".join(shlex.quote(str(path)) for path in open_paths)
    if open_paths:
        names = ", ".join(path.name for path in open_paths)
        yield Check(
            "state files", Verdict.FAIL, f"others can write: {names}", why, "Close them.", f"chmod go= {quoted}", True
        )
    elif foreign:
        why = "The daemon cannot write what belongs to another user; it was once started as another one, perhaps root."
        command = f"sudo chown -R $USER {shlex.quote(str(state))}"
        found = f"of another user: {', '.join(foreign)}"
        yield Check("state files", Verdict.FAIL, found, why, "Give them back to the daemon's user.", command)
    else:
        yield Check("state files", Verdict.OK, "all of this user")
