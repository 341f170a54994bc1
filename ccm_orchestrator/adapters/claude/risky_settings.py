"""What in a project's settings takes effect without anybody asking for it. Pure.

What is not known to be harmless counts as a risk: releases to come will have settings that nobody here has heard of.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

Json = Mapping[str, object]

TEXT_LENGTH = 160
_HARMLESS = frozenset(
    {"$schema", "alwaysThinkingEnabled", "attribution", "cleanupPeriodDays", "effortLevel", "includeCoAuthoredBy"}
    | {"language", "prefersReducedMotion", "showTurnDuration", "spinnerTipsEnabled", "spinnerVerbs", "theme"}
)
_HARMLESS_PERMISSIONS = frozenset({"ask", "deny"})
_PROGRAMS = ("apiKeyHelper", "awsAuthRefresh", "awsCredentialExport", "gcpAuthRefresh", "otelHeadersHelper")
_PLACES = ("URL", "HOST", "PROXY", "ENDPOINT")
"""Parts of names of variables whose values say where something is sent."""


def risky_part(settings: object) -> object:
    """Of a settings file; empty when all of it is harmless."""
    if not isinstance(settings, Mapping):
        return settings
    risky = {name: value for name, value in settings.items() if name not in _HARMLESS and not _is_empty(value)}
    permissions = risky.get("permissions")
    if isinstance(permissions, Mapping):
        rest = {k: v for k, v in permissions.items() if k not in _HARMLESS_PERMISSIONS and not _is_empty(v)}
        risky = {**risky, "permissions": rest} if rest else {k: v for k, v in risky.items() if k != "permissions"}
    return risky


def risky_servers(servers: object) -> object:
    """Of an `.mcp.json`; empty when it names no server."""
    return servers if not isinstance(servers, Mapping) or not _is_empty(servers.get("mcpServers", servers)) else {}


def effects_of_settings(risky: object) -> Iterator[str]:
    """One line each, for a person."""
    if not isinstance(risky, Mapping):
        yield "is no JSON object"
        return
    for name, value in risky.items():
        if name == "hooks" and isinstance(value, Mapping):
            yield from _hooks(value)
        elif name == "env" and isinstance(value, Mapping):
            yield from (_variable(str(variable), what) for variable, what in value.items())
        elif name == "permissions" and isinstance(value, Mapping):
            yield from _permissions(value)
        elif name in _PROGRAMS:
            yield f"runs for {name}: {one_line(value)}"
        elif isinstance(value, Mapping) and "command" in value:
            yield f"runs for {one_line(name)}: {one_line(value['command'])}"
        else:
            yield f"sets {one_line(name)}" + (f" to {one_line(value)}" if isinstance(value, str | bool) else "")


def effects_of_servers(servers: object) -> Iterator[str]:
    """One line each, for a person."""
    known = servers.get("mcpServers") if isinstance(servers, Mapping) else None
    if not isinstance(known, Mapping):
        yield "names MCP servers in a way that is not understood here"
        return
    for name, server in known.items():
        if isinstance(server, Mapping) and "command" in server:
            arguments = server.get("args")
            words = [server["command"], *(arguments if isinstance(arguments, list) else ())]
            yield f"starts the MCP server {one_line(name)}: {one_line(' '.join(map(str, words)))}"
        else:
            url = server.get("url") if isinstance(server, Mapping) else None
            yield f"connects to the MCP server {one_line(name)}: {one_line(url)}"


def commands_in(value: object) -> Iterator[str]:
    """Every text in it that may name a script."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from commands_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from commands_in(inner)


def one_line(value: object) -> str:
    """Nothing in it can speak to a terminal."""
    shown = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in str(value)[: TEXT_LENGTH + 1])
    return shown if len(shown) <= TEXT_LENGTH else shown[:TEXT_LENGTH] + "…"


def _hooks(hooks: Json) -> Iterator[str]:
    for event, registered in hooks.items():
        for handler in _handlers(registered):
            what = handler.get("command") or handler.get("url") or handler.get("prompt") or handler.get("type")
            yield f"runs on {one_line(event)}: {one_line(what)}"


def _handlers(registered: object) -> Iterator[Json]:
    """Whatever has a type of its own, however deep."""
    if isinstance(registered, list):
        for each in registered:
            yield from _handlers(each)
    elif isinstance(registered, Mapping):
        if "hooks" in registered:
            yield from _handlers(registered["hooks"])
        else:
            yield registered


def _variable(name: str, value: object) -> str:
    """Values may be secrets; those that say where something is sent are shown."""
    where = f"={one_line(value)}" if any(part in name.upper() for part in _PLACES) else ""
    return f"sets the variable {one_line(name)}{where}"


def _permissions(permissions: Json) -> Iterator[str]:
    for name, value in permissions.items():
        said = ", ".join(map(str, value)) if isinstance(value, list) else value
        if name == "allow":
            yield f"allows without asking: {one_line(said)}"
        elif name == "defaultMode":
            yield f"sets the permission mode {one_line(said)}"
        else:
            yield f"sets permissions.{one_line(name)}: {one_line(said)}"


def _is_empty(value: object) -> bool:
    return value is None or value == {} or value == [] or value == ""
