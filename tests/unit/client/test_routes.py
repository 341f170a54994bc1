"""Every route that programs may call has its method, and what the methods read is what the routes answer."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from typing import Any

import pytest

from ccm_orchestrator.api.app import describe
from ccm_orchestrator.client import administration, answers, awaited, conversations
from ccm_orchestrator.client.call import Call
from ccm_orchestrator.client.calls import administration as admin_calls
from ccm_orchestrator.client.calls import agents, events, machines, rules, sessions, standing, tasks
from ccm_orchestrator.client.following import Stream
from ccm_orchestrator.domain.dialogue import PermissionRequest
from ccm_orchestrator.domain.rules import ApprovalRule

MODULES = (admin_calls, agents, events, machines, rules, sessions, standing, tasks)
GIVEN: dict[str, Any] = {"scopes": ["read"], "wait_s": 1.0, "draining": True}
NOT_FOR_PROGRAMS = {
    ("POST", "/api/agents/{}/permissions"): "`permissions.list(agent)` names what it asks, and that is answered by id",
    ("GET", "/health/database"): "for monitoring",
    ("GET", "/health/supabase"): "for monitoring; `status` has it",
    ("GET", "/health/tmux"): "for monitoring",
    ("GET", "/metrics"): "for Prometheus",
}
SCHEMAS = {
    "AgentOutput": answers.Agent,
    "ApprovalRuleOutput": ApprovalRule,
    "AuditOutput": administration.AuditRecord,
    "BudgetOutput": administration.Budget,
    "IncidentOutput": administration.Incident,
    "NotificationOutput": administration.Notification,
    "ChatOutput": conversations.Chat,
    "EventOutput": answers.Event,
    "FindingOutput": answers.Finding,
    "HealthOutput": answers.Health,
    "KeyOutput": administration.Key,
    "MessageOutput": answers.Message,
    "NewKeyOutput": administration.NewKey,
    "PermissionOutput": PermissionRequest,
    "ProfileOutput": answers.Profile,
    "ProjectOutput": answers.Project,
    "ScreenOutput": answers.Screen,
    "SessionOutput": conversations.Session,
    "StandingAgentOutput": conversations.StandingAgent,
    "StatusOutput": answers.Status,
    "StoppedOutput": administration.Stopped,
    "SupabaseHealthOutput": answers.SupabaseHealth,
    "SystemOutput": answers.System,
    "TrustOutput": answers.ProjectTrust,
    "TaskBrief": answers.TaskBrief,
    "TaskOutput": answers.Task,
    "Terminated": conversations.Terminated,
    "TurnOutput": conversations.Turn,
}
UNREAD = {"AgentOutput": {"kind"}, "StandingAgentOutput": {"kind"}}
"""Tells standing agents from runs, which the methods know."""


@cache
def described() -> dict[str, Any]:
    return describe()


def described_calls() -> Iterator[tuple[str, Call[Any]]]:
    for module in MODULES:
        for name, function in vars(module).items():
            if name[0] == "_" or not inspect.isfunction(function) or function.__module__ != module.__name__:
                continue
            required = [p for p in inspect.signature(function).parameters.values() if p.default is p.empty]
            made = function(*(GIVEN.get(parameter.name, "x1x1") for parameter in required))
            yield f"{module.__name__}.{name}", made.call if isinstance(made, Stream) else made


def test_every_route_has_a_method() -> None:
    called = {(call.method, call.path.replace("x1x1", "{}")) for _, call in described_calls()}
    there = {
        (method.upper(), re.sub(r"\{\w+\}", "{}", path))
        for path, operations in described()["paths"].items()
        for method in operations
        if not path.startswith("/internal")
    }
    called.add(("GET", "/api/permissions"))  # of no agent in particular
    called.add(("GET", "/api/agents/{}/permissions"))
    assert there - called - NOT_FOR_PROGRAMS.keys() == set()
    assert called - there == set()


def test_every_description_is_offered() -> None:
    offered = {
        method._describe
        for group in vars(awaited).values()
        if isinstance(group, type)
        for method in vars(group).values()
        if hasattr(method, "_describe")
    }
    source = inspect.getsource(awaited)
    for module in MODULES:
        for name, function in vars(module).items():
            if name[0] != "_" and inspect.isfunction(function) and function.__module__ == module.__name__:
                short = module.__name__.rpartition(".")[2]
                assert function in offered or f"{short}.{name}(" in source, f"{short}.{name} has no method"


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_what_is_read_is_what_is_answered(name: str) -> None:
    schema = described()["components"]["schemas"][name]
    known = {field.name for field in fields(SCHEMAS[name])}
    assert set(schema["properties"]) - UNREAD.get(name, set()) == known


def test_every_answer_is_compared() -> None:
    known = set(described()["components"]["schemas"])
    outputs = {name for name in known if name.endswith("Output")}
    assert outputs - SCHEMAS.keys() == {"ContextOutput", "LeaseOutput", "VerdictOutput"}, "compare it in SCHEMAS"
