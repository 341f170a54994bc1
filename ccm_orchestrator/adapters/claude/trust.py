"""The three answers that Claude Code needs before it starts without asking, written into the user's `.claude.json`.

Only what is missing is added, nothing is removed or changed: that onboarding is over, that the agent may use the API
key in its environment, and that the directory of a registered project is trusted. Claude Code locks the file while it
writes it, by a directory `.claude.json.lock`; so do we.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from copy import deepcopy
from pathlib import Path

from ccm_orchestrator.errors import DriverError

BACKUP_SUFFIX = ".before-ccm-orchestrator"
KEY_TAIL = 20
"""Claude Code remembers a key by its last characters."""
_LOCK_STALE_S = 10.0
_LOCK_WAIT_S = 15.0
_LOCK_POLL_S = 0.02

State = dict[str, object]


def with_answers(state: Mapping[str, object], project: Path, api_key: str | None) -> State:
    """The state with what was missing; equal to `state` when nothing was."""
    answered = deepcopy(dict(state))
    answered["hasCompletedOnboarding"] = True
    _table(_table(answered, "projects"), str(project))["hasTrustDialogAccepted"] = True
    if api_key:
        _approve(answered, api_key[-KEY_TAIL:])
    return answered


def _approve(state: State, tail: str) -> None:
    """A key that the user refused stays refused."""
    responses = _table(state, "customApiKeyResponses")
    approved, rejected = _list(responses, "approved"), _list(responses, "rejected")
    if tail not in approved and tail not in rejected:
        approved.append(tail)


def answer_ahead(state_file: Path, project: Path, api_key: str | None) -> bool:
    """Writes what is missing for an agent in `project`, a registered one; True when something was.

    Blocking, for at most a few seconds. Raises: DriverError when the file cannot be read or written.
    """
    target = state_file.resolve()
    project = project.resolve()
    try:
        state = _read(target)
        if with_answers(state, project, api_key) == state:
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(target):
            _replace(target, with_answers(_read(target), project, api_key))
    except OSError as error:
        raise DriverError(f"Cannot prepare {target} for Claude Code: {error.strerror or error}.") from error
    return True


def _read(target: Path) -> State:
    try:
        state = json.loads(target.read_bytes() or b"{}")
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise DriverError(f"{target} is not valid JSON ({error}); mend it, or run `claude` once.") from error
    if not isinstance(state, dict):
        raise DriverError(f"{target} does not hold a JSON object; mend it, or run `claude` once.")
    return state


def _replace(target: Path, state: State) -> None:
    backup = target.with_name(target.name + BACKUP_SUFFIX)
    if target.exists() and not backup.exists():
        shutil.copy2(target, backup)
    mode = target.stat().st_mode & 0o777 if target.exists() else 0o600
    handle, name = tempfile.mkstemp(prefix=f"{target.name}.ccm-", dir=target.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="surrogatepass") as out:
            json.dump(state, out, indent=2, ensure_ascii=False)
            out.flush()
            os.fsync(out.fileno())
        Path(name).chmod(mode)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextmanager
def _locked(target: Path) -> Iterator[None]:
    lock = target.with_name(target.name + ".lock")
    deadline = time.monotonic() + _LOCK_WAIT_S
    while not _taken(lock):
        if time.monotonic() > deadline:
            raise DriverError(f"{lock} is held by another process for {_LOCK_WAIT_S:.0f} s; remove it if nothing runs.")
        time.sleep(_LOCK_POLL_S)
    try:
        yield
    finally:
        lock.rmdir()


def _taken(lock: Path) -> bool:
    try:
        lock.mkdir()
        return True
    except FileExistsError:
        return _stale(lock) and _broken(lock)


def _stale(lock: Path) -> bool:
    """Its owner touches a lock every few seconds while it lives."""
    try:
        return time.time() - lock.stat().st_mtime > _LOCK_STALE_S
    except FileNotFoundError:
        return False


def _broken(lock: Path) -> bool:
    """Removes a dead owner's lock; the next try takes it."""
    with suppress(FileNotFoundError):
        lock.rmdir()
    return False


def _table(parent: State, key: str) -> State:
    value = parent.get(key)
    if not isinstance(value, dict):
        value = {}
        parent[key] = value
    return value


def _list(parent: State, key: str) -> list[object]:
    value = parent.get(key)
    if not isinstance(value, list):
        value = []
        parent[key] = value
    return value
