"""Rules that answer what agents ask by themselves.

The one order, whatever the rules and wherever they come from: a rule that denies wins over one that asks a person, and
that wins over one that allows; without a rule a person is asked. Among rules that say the same, those of the task come
first, then the stored ones, the oldest first, then those of the settings, the first first: the first one is named.

Denying and asking look at everything a request may mean; allowing wants every part of it to be covered. Rules answer
permissions. A plan or a question is only answered by a rule that names its tool in full, and a question never allowed.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from ccm_orchestrator.domain.agent import Dialog
from ccm_orchestrator.domain.patterns import is_literal, literal, path_matches, text_matches
from ccm_orchestrator.domain.shell import mentioned_commands, simple_commands

PATH_FIELDS = ("file_path", "notebook_path", "path")
COMMAND_FIELD = "command"
MAX_PATTERN = 1000
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class RuleDecision(StrEnum):
    """In the order in which they win."""

    DENY = "deny"
    ASK = "ask"
    """A person is asked, though another rule would allow it."""
    ALLOW = "allow"


@dataclass(frozen=True, slots=True)
class ApprovalRule:
    """Every condition that is not None must hold."""

    rule_id: str
    decision: RuleDecision
    tool: str | None = None
    """Pattern of the tool's name."""
    path: str | None = None
    """Pattern of the file; from the agent's working directory unless it begins with a slash."""
    command: str | None = None
    """Pattern of a shell command."""
    input_digest: str | None = None
    """Of the tool's whole input, as `digest` makes it."""
    project: str | None = None
    profile: str | None = None
    task_id: str | None = None
    """The rule is made for the rest of this task."""
    owner: str | None = None
    """The user for whose tasks alone it is; None: for all tasks of this machine."""
    reason: str = ""
    """Told to an agent that is denied."""
    created_at: datetime | None = None
    """None: it stands in the settings."""
    created_by: str = "settings"


@dataclass(frozen=True, slots=True)
class Asking:
    """What rules look at in a request."""

    dialog: str
    tool_name: str
    tool_input: Mapping[str, object] = field(repr=False)
    project: str
    profile: str
    task_id: str
    owner: str | None = None
    directories: Sequence[str] = ()
    """The agent's working directory, by every name it has."""
    paths: Sequence[str] = ()
    """The files that the tool is to work on, as it names them, absolute."""
    real_paths: Sequence[str] = ()
    """The same files without symbolic links on the way."""


@dataclass(frozen=True, slots=True)
class Judgement:
    decision: RuleDecision
    rules: Sequence[ApprovalRule]
    """The first rule that says so; when the parts of a command are allowed by different ones, all of those."""


def judge(rules: Sequence[ApprovalRule], asking: Asking) -> Judgement | None:
    """`rules` are in the order in which they are named. None: no rule has anything to say."""
    fitting = [rule for rule in rules if _applies(rule, asking)]
    for decision in (RuleDecision.DENY, RuleDecision.ASK):
        said = (rule for rule in fitting if rule.decision is decision and _may_concern(rule, asking))
        if (first := next(said, None)) is not None:
            return Judgement(decision, (first,))
    if asking.dialog in (Dialog.QUESTION, Dialog.ELICITATION):
        return None
    allowing = [rule for rule in fitting if rule.decision is RuleDecision.ALLOW]
    covering = _cover(allowing, asking)
    return Judgement(RuleDecision.ALLOW, covering) if covering else None


def ordered(rules: Sequence[ApprovalRule]) -> Sequence[ApprovalRule]:
    """Stored rules and then those of the settings, with the rules of tasks before all."""
    return sorted(rules, key=lambda rule: rule.task_id is None)


def asked_paths(tool_input: Mapping[str, object], directory: str) -> Sequence[str]:
    """Absolute, else as they are written."""
    given = (value for key in PATH_FIELDS if isinstance(value := tool_input.get(key), str) and value)
    return [posixpath.join(directory, path) for path in given]


def digest(tool_input: Mapping[str, object]) -> str:
    """The same for the same input, however it is written."""
    text = json.dumps(dict(tool_input), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def same_again(asking: Asking) -> Mapping[str, str]:
    """The conditions under which something is the same as this: the tool, and the very command, file or input.

    A plan is asked for by a tool of its own, and the next one is another text; the tool is all there is to name.
    """
    named = {"tool": literal(asking.tool_name)}
    command, paths = _command(asking), {posixpath.normpath(path) for path in asking.paths}
    if asking.dialog == Dialog.PLAN:
        return named
    if command is not None and len(literal(command)) <= MAX_PATTERN:
        return named | {"command": literal(command)}
    if command is None and len(paths) == 1:
        return named | {"path": literal(_from_directory(paths.pop(), asking))}
    return named | {"input_digest": digest(asking.tool_input)}


def _from_directory(path: str, asking: Asking) -> str:
    """Links on the way to the working directory do not matter then."""
    parents = (directory.rstrip("/") + "/" for directory in asking.directories)
    return next((path.removeprefix(parent) for parent in parents if path.startswith(parent)), path)


def problem_with_rule(rule: ApprovalRule) -> str | None:
    """One sentence saying why this rule cannot be; None when it can."""
    if all(value is None for value in (rule.tool, rule.path, rule.command, rule.input_digest)):
        return 'The rule names neither a tool nor a path nor a command: say `tool = "*"` if it is meant for everything.'
    for name in ("tool", "path", "command", "project", "profile"):
        if (problem := _problem_with(name, getattr(rule, name))) is not None:
            return problem
    if rule.path is not None and (rule.path.startswith("~") or ".." in rule.path.split("/")):
        return f"Expected `path` to be absolute or to go down from the working directory, got: {rule.path!r}."
    return None


def _problem_with(name: str, value: str | None) -> str | None:
    if value is None:
        return None
    if not value.strip() or _CONTROL.search(value):
        return f"Expected `{name}` to be a text without control characters that is not empty, got: {value!r}."
    if len(value) > MAX_PATTERN:
        return f"Expected `{name}` to have at most {MAX_PATTERN} characters, got: {len(value)}."
    return None


def _applies(rule: ApprovalRule, asking: Asking) -> bool:
    """Everything but what the tool is to do."""
    return (
        rule.project in (None, asking.project)
        and rule.profile in (None, asking.profile)
        and rule.task_id in (None, asking.task_id)
        and rule.owner in (None, asking.owner)
        and (rule.input_digest is None or rule.input_digest == digest(asking.tool_input))
        and _names_tool(rule, asking)
    )


def _names_tool(rule: ApprovalRule, asking: Asking) -> bool:
    if asking.dialog != Dialog.PERMISSION:
        return rule.tool is not None and is_literal(rule.tool) and text_matches(rule.tool, asking.tool_name)
    return rule.tool is None or text_matches(rule.tool, asking.tool_name)


def _may_concern(rule: ApprovalRule, asking: Asking) -> bool:
    names = [*map(posixpath.normpath, asking.paths), *asking.real_paths]
    if rule.path is not None and not any(_path_fits(rule.path, path, asking) for path in names):
        return False
    if rule.command is None:
        return True
    command = _command(asking)
    return command is not None and any(text_matches(rule.command, each) for each in _meanings(command))


def _meanings(command: str) -> frozenset[str]:
    return mentioned_commands(command) | {command}


def _cover(allowing: Sequence[ApprovalRule], asking: Asking) -> Sequence[ApprovalRule]:
    """The rules that together allow all of it; empty when something is left."""
    fitting = [rule for rule in allowing if rule.path is None or _all_inside(rule.path, asking)]
    command = _command(asking)
    whole = next((rule for rule in fitting if rule.command is None or _spells(rule.command, command)), None)
    if whole is not None or command is None:
        return () if whole is None else (whole,)
    parts = simple_commands(command) or ()
    covering = [next((r for r in fitting if r.command and text_matches(r.command, part)), None) for part in parts]
    named = tuple(rule for rule in covering if rule is not None)
    return tuple(dict.fromkeys(named)) if len(named) == len(covering) else ()


def _spells(pattern: str, command: str | None) -> bool:
    """Nothing in the pattern is left open, so the command may be of any kind."""
    return command is not None and is_literal(pattern) and text_matches(pattern, command)


def _all_inside(pattern: str, asking: Asking) -> bool:
    """By their real names alone: a link would lead elsewhere."""
    return bool(asking.real_paths) and all(_path_fits(pattern, path, asking) for path in asking.real_paths)


def _path_fits(pattern: str, path: str, asking: Asking) -> bool:
    if pattern.startswith("/"):
        return path_matches(pattern, path)
    return any(path_matches(_below(directory, pattern), path) for directory in asking.directories)


def _below(directory: str, pattern: str) -> str:
    return f"{literal(directory.rstrip('/'))}/{pattern.removeprefix('./')}"


def _command(asking: Asking) -> str | None:
    command = asking.tool_input.get(COMMAND_FIELD)
    return command.strip() if isinstance(command, str) and command.strip() else None
