"""The tmux server as a service manager runs it: in the foreground, with a clean environment and our configuration."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from ccm_orchestrator.adapters.tmux.server import Address, find_tmux, foreground_argv, prepare_files
from ccm_orchestrator.settings import Settings


def tmux_service(settings: Settings) -> tuple[str, Sequence[str], Mapping[str, str]]:
    """Program, arguments and environment to execute. Raises: TmuxMissing."""
    binary, _ = find_tmux()
    tmux = settings.tmux
    address = Address(binary, tmux.socket_name, tmux.socket_directory, tmux.session)
    config_path = settings.state_directory / "tmux.conf"
    prepare_files(address, config_path)
    os.chdir(os.environ.get("HOME") or "/")
    return binary, foreground_argv(address, config_path), address.environment()
