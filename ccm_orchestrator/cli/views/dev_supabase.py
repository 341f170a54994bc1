"""A local Supabase. Plain text: settings and commands are there to be copied, so no line is wrapped."""

from __future__ import annotations

from typing import Any


def supabase_report(found: dict[str, Any]) -> str:
    facts = {
        "publishable key": found["publishable_key"],
        "secret key": found["secret_key"],
        "anon key": found["anon_key"],
        "service_role key": found["service_key"],
        "JWT secret": found["jwt_secret"],
        "database": f"psql '{found['database_url']}'",
        "data and logs": found["data"],
    }
    return "\n".join(
        [
            f"A Supabase of your own runs at {found['url']} since {found['since']}.",
            "",
            *(f"{name:<17} {value}" for name, value in facts.items()),
            "",
            "Settings for the daemon (`ccm-orchestrator config path` names the file):",
            "",
            found["settings"],
            "Once a daemon serves it, hand a task in for one of its projects:",
            "",
            found["curl"],
            "",
            "Stop it with `ccm-orchestrator dev supabase down`.",
        ]
    )


def stopped(found: dict[str, Any]) -> str:
    log = f" The log of last time is {found['log']}." if found["log"] else ""
    return f"No local Supabase runs; start one with `ccm-orchestrator dev supabase up`.{log}"
