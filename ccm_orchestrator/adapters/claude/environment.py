"""What an agent gets of the daemon's environment: an allow-list.

An outer Claude session leaves variables behind (`CLAUDECODE`, `CLAUDE_CODE_ENTRYPOINT`, sockets and tokens) that would
make an agent believe it is a part of that session, so of `CLAUDE*` only what configures a user's own installation is
passed on. A profile's `env` adds whatever else is needed.
"""

from __future__ import annotations

from collections.abc import Mapping

from ccm_orchestrator.ports.agents import LaunchOrder

_ALLOWED = """
    PATH HOME USER LOGNAME SHELL LANG LANGUAGE TZ TMPDIR SSH_AUTH_SOCK IS_SANDBOX
    XDG_CONFIG_HOME XDG_CACHE_HOME XDG_DATA_HOME XDG_STATE_HOME XDG_RUNTIME_DIR
    HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY http_proxy https_proxy all_proxy no_proxy
    SSL_CERT_FILE SSL_CERT_DIR NODE_EXTRA_CA_CERTS REQUESTS_CA_BUNDLE CURL_CA_BUNDLE
    CLAUDE_CONFIG_DIR CLAUDE_CODE_OAUTH_TOKEN
    CLAUDE_CODE_USE_BEDROCK CLAUDE_CODE_USE_VERTEX CLAUDE_CODE_USE_FOUNDRY
    CLAUDE_CODE_SKIP_BEDROCK_AUTH CLAUDE_CODE_SKIP_VERTEX_AUTH CLAUDE_CODE_SKIP_FOUNDRY_AUTH
    CLAUDE_CODE_SUBAGENT_MODEL CLAUDE_CODE_MAX_OUTPUT_TOKENS CLAUDE_CODE_AUTO_COMPACT_WINDOW CLAUDE_CODE_MAX_RETRIES
    CLAUDE_CODE_DISABLE_EXPERIMENTAL_BETAS CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC
    DISABLE_TELEMETRY DISABLE_ERROR_REPORTING DISABLE_INSTALLATION_CHECKS
"""
_NAMES = frozenset(_ALLOWED.split())
_PREFIXES = ("LC_", "ANTHROPIC_")
_CLOUDS = {
    "CLAUDE_CODE_USE_BEDROCK": ("AWS_",),
    "CLAUDE_CODE_USE_VERTEX": ("GOOGLE_", "VERTEX_REGION_", "CLOUD_ML_", "GCLOUD_"),
    "CLAUDE_CODE_USE_FOUNDRY": ("AZURE_",),
}
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
_LOOPBACK = ("127.0.0.1", "localhost")
_CREDENTIALS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN", *_CLOUDS)


def inherited(base: Mapping[str, str]) -> dict[str, str]:
    """The part of the daemon's environment that every agent gets."""
    prefixes = [*_PREFIXES, *(prefix for flag, cloud in _CLOUDS.items() if base.get(flag) for prefix in cloud)]
    return {name: value for name, value in base.items() if name in _NAMES or name.startswith(tuple(prefixes))}


def agent_environment(base: Mapping[str, str], order: LaunchOrder) -> dict[str, str]:
    """The whole environment of one agent."""
    env = {
        "TERM": "xterm-256color",
        **inherited(base),
        **order.profile.env,
        "CLAUDE_CODE_DISABLE_ALTERNATE_SCREEN": "1",  # else the renderer differs from launch to launch
        "DISABLE_AUTOUPDATER": "1",
        "CCM_RUN_ID": order.run.run_id,
        "CCM_TASK_ID": order.run.task_id,
        "CCM_RUN_TOKEN": order.token,
    }
    return {**env, **_no_proxy(env)}


def has_credentials(env: Mapping[str, str]) -> bool:
    """An agent with this environment needs no stored login."""
    return any(env.get(name) for name in _CREDENTIALS)


def _no_proxy(env: Mapping[str, str]) -> dict[str, str]:
    """The permission hook calls the daemon on loopback: no proxy may come between."""
    if not any(env.get(name) for name in _PROXIES):
        return {}
    known = env.get("NO_PROXY") or env.get("no_proxy") or ""
    hosts = [host.strip() for host in known.split(",") if host.strip()]
    value = ",".join([*hosts, *(host for host in _LOOPBACK if host not in hosts)])
    return {"NO_PROXY": value, "no_proxy": value}
