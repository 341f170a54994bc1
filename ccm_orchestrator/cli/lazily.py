"""The one place where modules are imported late.

`ccm-orchestrator --help`, shell completion and every command that talks to a running daemon would otherwise pay for the
web framework, the database and the whole engine, which take longer to import than the command itself. What is named
here is needed by `serve`, `demo`, `init`, `doctor`, `config set`, `db`, `notify`, `service`, `update`, and where no
daemon is found.
"""

from __future__ import annotations

import gc
import importlib
from collections.abc import Callable
from enum import StrEnum
from typing import Any


class Heavy(StrEnum):
    """`module:attribute` of what is imported late."""

    TREE = "ccm_orchestrator.cli.app:app"
    LOAD_SETTINGS = "ccm_orchestrator.settings:load_settings"
    SESSIONS = "ccm_orchestrator.client.awaited:Sessions"
    REPORT = "ccm_orchestrator.cli.session:report"
    EXIT_OF = "ccm_orchestrator.cli.exits:exit_of"
    SERVE = "ccm_orchestrator.wiring.serving:serve"
    HOLD_BACK = "ccm_orchestrator.wiring.serving:hold_back"
    DEMO = "ccm_orchestrator.demo.run:main"
    PREPARE = "ccm_orchestrator.cli.preparing:prepare"
    PLAN_VIEW = "ccm_orchestrator.cli.views.init:plan_view"
    SET_UP = "ccm_orchestrator.cli.setting_up:set_up"
    TRIAL = "ccm_orchestrator.demo.run:trial"
    EXAMINE = "ccm_orchestrator.setup.doctor:examine"
    INTENTION = "ccm_orchestrator.demo.proving:intention"
    PROVE = "ccm_orchestrator.demo.proving:prove"
    LISTED = "ccm_orchestrator.setup.doctor:listed"
    MEND = "ccm_orchestrator.setup.mending:mend"
    HOLDER = "ccm_orchestrator.setup.daemon_checks:holder"
    MAKE_BUNDLE = "ccm_orchestrator.setup.support_bundle:make_bundle"
    MIGRATE = "ccm_orchestrator.adapters.supabase.migrator:migrate"
    READ_SCHEMA = "ccm_orchestrator.adapters.supabase.migrator:read_schema"
    SUPABASE_UP = "ccm_orchestrator.devstack.resident:up"
    SUPABASE_DOWN = "ccm_orchestrator.devstack.resident:down"
    DESCRIBE_SUPABASE = "ccm_orchestrator.devstack.resident:describe"
    STOP_WITHOUT_DAEMON = "ccm_orchestrator.wiring.emergency:stop_without_daemon"
    SERVICE_MANAGER = "ccm_orchestrator.setup.services:service_manager"
    TMUX_SERVER = "ccm_orchestrator.setup.tmux_service:tmux_service"
    KEPT_SERVICES = "ccm_orchestrator.setup.removal:kept_services"
    DATA_OF = "ccm_orchestrator.setup.removal:data_of"
    REQUIRE_NO_DAEMON = "ccm_orchestrator.setup.removal:require_no_daemon"
    END_TMUX_SERVER = "ccm_orchestrator.setup.removal:end_tmux_server"
    PURGE = "ccm_orchestrator.setup.removal:purge"
    NOTICE_TARGETS = "ccm_orchestrator.wiring.targets:read_targets"
    TELL_OF_FAILED_START = "ccm_orchestrator.wiring.failed_start:tell_as_service"
    PLANNED_UPDATE = "ccm_orchestrator.setup.upgrading:planned_update"
    CARRY_OUT_UPDATE = "ccm_orchestrator.setup.upgrading:carry_out"
    NOTICE_CARRIER = "ccm_orchestrator.adapters.apprise.carrier:AppriseCarrier"
    REACHED = "ccm_orchestrator.cli.reaching:reached"
    OPEN_OFFLINE = "ccm_orchestrator.cli.offline:open_offline"


def load_commands(module: str) -> Callable[..., Any]:
    """What registers the commands of a module of `commands`: it is imported when one of them is called or listed."""
    registers: Callable[..., Any] = importlib.import_module(f"ccm_orchestrator.cli.commands.{module}").add_to
    return registers


def load(heavy: Heavy) -> Callable[..., Any]:
    """Without the garbage collector, which would look again and again through what modules keep for good: an eighth of
    a daemon's start. It never looks at that later either."""
    module, _, attribute = heavy.value.partition(":")
    gc.disable()
    try:
        loaded: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    finally:
        gc.freeze()
        gc.enable()
    return loaded
