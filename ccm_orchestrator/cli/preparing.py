"""What `init` has to find out before it changes anything."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ccm_orchestrator.adapters.apprise.carrier import AppriseCarrier
from ccm_orchestrator.cli.connection import connect
from ccm_orchestrator.cli.interview import Known, decide
from ccm_orchestrator.cli.session import Session
from ccm_orchestrator.errors import InputError, InvalidSettings
from ccm_orchestrator.settings import Settings, config_path
from ccm_orchestrator.settings.sources import read_layers, validated
from ccm_orchestrator.setup.check import Verdict
from ccm_orchestrator.setup.daemon_checks import other_port
from ccm_orchestrator.setup.planning import Plan, plan
from ccm_orchestrator.setup.services import SYSTEMD_RUNS
from ccm_orchestrator.setup.supabase_checks import supabase
from ccm_orchestrator.setup.wishes import (
    Decided,
    StoreKind,
    check_decided,
    checked_wishes,
    combined,
    read_wishes,
)

PORT_VARIABLE = "CCM_API__PORT"


async def prepare(
    session: Session, answers: Path | None, given: dict[str, Any], asks: bool
) -> tuple[Known, Decided, Plan]:
    """Raises: InvalidSettings, before anything was changed."""
    _refuse_borrowed_root(os.environ)
    flags = checked_wishes({key: value for key, value in given.items() if value is not None}, "the command line")
    said = combined(flags, read_wishes(answers)) if answers is not None else flags
    known = await _known(session)
    decided = decide(said, known, asks)
    check_decided(decided, known.settings)
    await _check_supabase(decided, session)
    await _check_targets(decided, known.settings)
    return known, decided, plan(decided, known.settings, known.registered)


async def _known(session: Session) -> Known:
    path = session.config or config_path()
    layers = read_layers(session.config)
    settings = validated(layers)
    manager = platform.system() == "Darwin" or SYSTEMD_RUNS.exists()
    return Known(
        settings=settings,
        config=path,
        configured=bool(layers[0].values),
        registered=await _registered(settings),
        has_service_manager=manager,
        other_port=None if PORT_VARIABLE in os.environ else other_port(settings),
        is_root=os.geteuid() == 0 and platform.system() != "Darwin",
    )


def _refuse_borrowed_root(environment: Mapping[str, str]) -> None:
    """Raises: InputError where configuration and data would be root's, and the services of whoever called sudo."""
    caller = environment.get("SUDO_USER", "root")
    if os.geteuid() == 0 and caller != "root":
        raise InputError(
            f"This would set up root, by way of sudo: run `ccm-orchestrator init` as {caller}, without sudo. For "
            "agents that run as root: `sudo env -u SUDO_USER ccm-orchestrator init`."
        )


async def _registered(settings: Settings) -> list[Path]:
    """Without making a database where there is none."""
    if not settings.database.exists():
        return []
    async with connect(settings) as connection:
        return [Path(project["path"]) for project in await connection.get("/api/projects")]


async def _check_supabase(decided: Decided, session: Session) -> None:
    """Asks the project whether all this is good. Raises: InvalidSettings with what it says."""
    if decided.store is not StoreKind.SUPABASE:
        return
    given: dict[str, Any] = {"url": decided.supabase_url}
    for name, file in (("key", decided.supabase_key_file), ("system_token", decided.supabase_token_file)):
        if file is not None and file in decided.secrets:
            given[name] = decided.secrets[file].reveal()
        elif file is not None:
            given[f"{name}_file"] = str(file)
    settings = validated(read_layers(session.config, {"supabase": given}))
    failed = [check for check in await supabase(settings, os.environ) if check.verdict is Verdict.FAIL]
    if failed:
        raise InvalidSettings("\n".join(f"{check.name}: {check.found} {check.fix}" for check in failed))


async def _check_targets(decided: Decided, settings: Settings) -> None:
    """Sends nothing. Raises: InvalidSettings for an address that Apprise does not understand, without the address."""
    carrier = AppriseCarrier(settings.notifications.timeout_s)
    for name, file in decided.notify_url_files.items():
        typed = decided.secrets.get(file)
        url = file.read_text(encoding="utf-8") if typed is None else typed.reveal()
        problem = await carrier.problem_with(url.strip())
        if problem is not None:
            raise InvalidSettings(f"The notification target {name} cannot be used: {problem}.")
