"""All that the doctor looks at. `docs/doctor.md` is generated from here."""

from __future__ import annotations

import platform
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from ccm_orchestrator.setup import (
    access_checks,
    agent_checks,
    daemon_checks,
    door_checks,
    machine_checks,
    notice_checks,
    program_checks,
    project_checks,
    service_checks,
    state_checks,
    supabase_checks,
    tmux_checks,
    work_checks,
)
from ccm_orchestrator.setup.check import Check
from ccm_orchestrator.setup.probing import Place, Probe

SLOW_S = 20.0


def _state(place: Place) -> Iterator[Check]:
    yield state_checks.directory(place.settings.state_directory)
    yield from access_checks.private_tree(place.settings.state_directory)
    yield from access_checks.token_files(place.settings.state_directory)


def _disk(place: Place) -> Iterator[Check]:
    state = place.settings.state_directory
    yield state_checks.free_space(state)
    yield machine_checks.inodes(state)
    yield machine_checks.file_system(state)


def _limits(place: Place) -> Iterator[Check]:
    yield machine_checks.open_files_here(place.settings.max_agents)
    yield from machine_checks.inotify()


def _spool(place: Place) -> Check:
    state = place.settings.state_directory
    return work_checks.spool(state, daemon_checks.holder(state) is not None)


PROBES: Sequence[Probe] = (
    Probe("python", "Programs", "the version of Python", lambda _: program_checks.python(sys.version_info[:3])),
    Probe(
        "sqlite",
        "Programs",
        "the version of SQLite, and a known fault of older ones",
        lambda _: program_checks.sqlite(sqlite3.sqlite_version_info),
    ),
    Probe("tmux", "Programs", "tmux and its version", lambda _: program_checks.tmux()),
    Probe("git", "Programs", "git", lambda place: program_checks.git(place.environment)),
    Probe("platform", "Programs", "the operating system", lambda _: program_checks.platform_support(platform.system())),
    Probe(
        "claude",
        "Agent",
        "Claude Code, its version and its login; credentials are not read",
        lambda place: agent_checks.claude(place.settings.claude.executable, place.environment),
        SLOW_S,
    ),
    Probe(
        "agent-state",
        "Agent",
        "the file in which Claude Code keeps its answers and the trust in projects",
        lambda place: project_checks.agent_state(place.environment),
    ),
    Probe(
        "config-file",
        "Configuration",
        "who may write the configuration file",
        lambda place: access_checks.config_file(place.config),
    ),
    Probe(
        "secrets",
        "Configuration",
        "files with secrets that the configuration names: there, and their owner's alone",
        lambda place: access_checks.secret_files(place.settings),
    ),
    Probe(
        "notifications",
        "Configuration",
        "whom people's messages go to",
        lambda place: notice_checks.targets(place.settings),
    ),
    Probe(
        "state", "State", "the state directory, what is in it, and the daemon's own secrets: owners and modes", _state
    ),
    Probe("disk", "State", "free space, free inodes, and whether the disk is of this machine", _disk),
    Probe(
        "database",
        "State",
        "whether the database is whole, its schema, and its log",
        lambda place: work_checks.database(place.settings.database),
        SLOW_S,
    ),
    Probe(
        "usage",
        "State",
        "what runs and logs take on the disk",
        lambda place: work_checks.disk_usage(place.settings),
        SLOW_S,
    ),
    Probe("spool", "State", "hook events that wait to be taken in", _spool),
    Probe(
        "clock",
        "Machine",
        "the clock",
        lambda place: machine_checks.clock_here(place.settings.database),
    ),
    Probe("limits", "Machine", "limits of open files and of inotify", _limits),
    Probe(
        "memory",
        "Machine",
        "memory and swap, for as many agents as may run",
        lambda place: machine_checks.memory_here(place.settings.max_agents),
    ),
    Probe("terminal", "Machine", "locale and terminal", lambda place: machine_checks.terminal(place.environment)),
    Probe(
        "tmux-server",
        "tmux",
        "the agents' tmux server: its socket, its options, its unit, and a tmux around us",
        lambda place: tmux_checks.server(place.settings, place.environment),
        SLOW_S,
    ),
    Probe(
        "windows",
        "tmux",
        "windows of agents that nobody knows",
        lambda place: work_checks.left_over_windows(place.settings),
    ),
    Probe(
        "daemon",
        "Daemon",
        "who holds the state directory, whether it answers, its port, its version",
        lambda place: daemon_checks.daemon(place.settings),
        SLOW_S,
    ),
    Probe(
        "service",
        "Daemon",
        "the service: as shipped, enabled, linger, failed, restarts",
        lambda place: service_checks.service(place.settings, place.given),
        SLOW_S,
    ),
    Probe(
        "door",
        "Access",
        "the second door for other machines, and its certificate",
        lambda place: door_checks.second_door(place.settings, datetime.now(UTC)),
    ),
    Probe(
        "users",
        "Access",
        "the users of a Supabase project",
        lambda place: door_checks.users(place.settings, place.environment),
        SLOW_S,
    ),
    Probe(
        "projects",
        "Work",
        "registered projects: there, writable, under git, whose they are",
        lambda place: project_checks.projects(state_checks.registered_projects(place.settings.database)),
    ),
    Probe(
        "tasks",
        "Work",
        "leases that ran out, tasks that wait for a person, open incidents",
        lambda place: work_checks.tasks(place.settings.database),
    ),
    Probe(
        "supabase",
        "Supabase",
        "the Supabase project: address, key, schema, clock, identity, Realtime, other machines",
        lambda place: supabase_checks.supabase(place.settings, place.environment),
        SLOW_S,
    ),
)
