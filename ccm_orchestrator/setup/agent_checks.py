"""Claude Code: there, of a release that is known, logged in."""

from __future__ import annotations

from collections.abc import Mapping

from ccm_orchestrator.adapters.claude.environment import has_credentials, inherited
from ccm_orchestrator.adapters.claude.executable import ask, find_executable
from ccm_orchestrator.adapters.claude.versions import caution, parse_version, require_supported
from ccm_orchestrator.errors import AgentMissing, AgentUnsupported, DriverError
from ccm_orchestrator.setup.check import Check, Verdict

WHY = "It is the agent that does the work."


async def claude(executable: str, environment: Mapping[str, str]) -> list[Check]:
    """As the daemon would find it, when it is started with this environment."""
    env = inherited(environment)
    try:
        path = find_executable(executable, environment)
        version = parse_version((await ask(path, "--version", env=env)).stdout)
        found = f"{version} ({path})"
        require_supported(version)
    except AgentMissing as error:
        fix = "Run `npm install -g @anthropic-ai/claude-code`, or set `claude.executable`."
        return [Check("claude", Verdict.FAIL, error.message, WHY, fix, "npm install -g @anthropic-ai/claude-code")]
    except AgentUnsupported as error:
        return [Check("claude", Verdict.FAIL, error.message, WHY, "Update it.", "claude update")]
    except DriverError as error:
        return [
            Check("claude", Verdict.FAIL, error.message, WHY, f"Run `{executable} --version` and see what it says.")
        ]
    warning = caution(version)
    check = (
        Check("claude", Verdict.WARN, found, warning, "Keep an eye on the states of agents.")
        if warning
        else Check("claude", Verdict.OK, found)
    )
    return [check, await _login(str(path), env)]


async def _login(executable: str, env: Mapping[str, str]) -> Check:
    if has_credentials(env):
        return Check("login", Verdict.OK, "by a variable of the environment; the daemon needs it, too")
    why = "Without a login an agent cannot do anything."
    fix = "Run `claude` and log in, or set ANTHROPIC_API_KEY where the daemon is started."
    try:
        answer = await ask(find_executable(executable, env), "auth", "status", env=env)
    except DriverError as error:
        return Check("login", Verdict.WARN, f"unknown: {error.message}", why, fix)
    if answer.exit_code:
        return Check("login", Verdict.FAIL, "none", why, fix)
    return Check("login", Verdict.OK, "stored by Claude Code")
