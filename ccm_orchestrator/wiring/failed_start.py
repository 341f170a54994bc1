"""Tells people that the daemon cannot start, though its configuration may be what cannot be read.

Each daemon that starts keeps the targets that it had, in its state directory and for its owner only; a start that fails
tells those of them that want to hear of failed recoveries. The same reason is told once in six hours, however often a
service manager tries.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import socket
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ccm_orchestrator.adapters.apprise.carrier import AppriseCarrier
from ccm_orchestrator.domain.notices import Level, NoticeEvent, harmless
from ccm_orchestrator.domain.telling import Message, NoticeTarget
from ccm_orchestrator.errors import InvalidSettings, OrchestratorError, StateDirectoryBusy
from ccm_orchestrator.security.places import anothers
from ccm_orchestrator.settings import config_path
from ccm_orchestrator.settings.model import default_state_directory
from ccm_orchestrator.settings.notifications import NotificationsTable, TargetTable
from ccm_orchestrator.settings.writing import write_private
from ccm_orchestrator.wiring.targets import build_target

log = logging.getLogger(__name__)

LAST_TARGETS = "notification-targets.json"
TOLD = "failed-start.json"
AGAIN_S = 6 * 3600.0
_DIRECTORY = re.compile(r"""^\s*state_directory\s*=\s*["'](.+?)["']""", re.MULTILINE)
"""Of a file that need not be TOML."""


def keep_targets(path: Path, table: NotificationsTable) -> None:
    """The good ones of this start. A full disk is no reason not to start."""
    kept = {name: _plain(target) for name, target in table.targets.items()}
    try:
        write_private(path, json.dumps(kept))
    except InvalidSettings as error:
        log.warning("a start that fails could not be told: %s", error.message)


def tell_of_failed_start(error: OrchestratorError, config: Path | None, environment: Mapping[str, str]) -> list[str]:
    """Sentences for whoever looks. Never raises: the error itself is what matters."""
    if isinstance(error, StateDirectoryBusy):  # there is a daemon, and it works
        return []
    directory = _state_directory(config or config_path(), environment)
    message = Message(
        NoticeEvent.RECOVERY_FAILED,
        Level.URGENT,
        "failed start",
        "The daemon cannot start",
        f"On {harmless(socket.gethostname())}: {harmless(error.message)}\nccm-orchestrator doctor",
    )
    if not _ours(directory) or _told_lately(directory / TOLD, message.body):
        return []
    now = datetime.now(UTC)
    wanting = [
        target
        for target in _targets(directory / LAST_TARGETS)
        if target.wants(message, None) and target.due_at(message.level, now) <= now
    ]
    said = asyncio.run(_send(wanting, message)) if wanting else {}
    if said and not all(said.values()):  # somebody was told
        _note(directory / TOLD, message.body)
    return [
        f"{name} {'was told of it' if problem is None else f'could not be told: {problem}'}"
        for name, problem in said.items()
    ]


def _ours(directory: Path) -> bool:
    """Else somebody might have us write and send to where they want."""
    try:
        return anothers(directory) is None
    except OSError:
        return False


async def _send(targets: list[NoticeTarget], message: Message) -> dict[str, str | None]:
    carrier, title = AppriseCarrier(), f"ccm-orchestrator: {message.title}"
    problems = await asyncio.gather(
        *(carrier.send(target.url, title, message.body, message.level.value) for target in targets)
    )
    return {target.name: problem for target, problem in zip(targets, problems, strict=True)}


def _state_directory(config: Path, environment: Mapping[str, str]) -> Path:
    """Where the last daemon that started had it, as well as that can be told."""
    if named := environment.get("CCM_STATE_DIRECTORY"):
        return Path(named).expanduser()
    try:
        found = _DIRECTORY.search(config.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        found = None
    return Path(found[1]).expanduser() if found else default_state_directory()


def _plain(target: TargetTable) -> dict[str, Any]:
    url = None if target.url is None else target.url.get_secret_value()
    return target.model_dump(mode="json", exclude_none=True, exclude={"url"}) | ({} if url is None else {"url": url})


def _targets(path: Path) -> list[NoticeTarget]:
    targets = []
    for name, values in _read(path).items():
        try:
            targets.append(build_target(name, TargetTable.model_validate(values)))
        except (ValidationError, InvalidSettings):
            continue  # its `url_file` is gone; the others may still be told
    return targets


def _told_lately(path: Path, body: str) -> bool:
    told = _read(path).get(body)
    return isinstance(told, int | float) and 0 <= time.time() - told < AGAIN_S


def _note(path: Path, body: str) -> None:
    try:
        write_private(path, json.dumps({body: time.time()}))
    except InvalidSettings as error:
        log.warning("this may be told again: %s", error.message)


def _read(path: Path) -> dict[str, Any]:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def tell_as_service(error: OrchestratorError, config: Path | None) -> list[str]:
    """Nobody needs a message of what they see on their own terminal."""
    return [] if os.isatty(2) else tell_of_failed_start(error, config, os.environ)
