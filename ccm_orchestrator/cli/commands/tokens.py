"""`token create|list|rotate|revoke|flush-users`"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from ccm_orchestrator.cli.connection import connect, segment
from ccm_orchestrator.cli.session import Session, command
from ccm_orchestrator.cli.views.plain import text
from ccm_orchestrator.cli.views.tokens import key_table, new_key
from ccm_orchestrator.domain.caller import Scope
from ccm_orchestrator.errors import InputError

_PERIOD = re.compile(r"([1-9][0-9]{0,5})([smhdw])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_LONGEST = timedelta(days=36_500)

KeyArgument = Annotated[str, typer.Argument(metavar="KEY", help="Its prefix (`ccm_…`), name or id.")]


def add_to(group: typer.Typer) -> None:
    command(group, "create")(create)
    command(group, "list")(list_keys)
    command(group, "rotate")(rotate)
    command(group, "revoke")(revoke)
    command(group, "flush-users")(flush_users)


async def create(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is for, such as `build server`.")],
    scope: Annotated[list[Scope], typer.Option("--scope", "-s", help="What it opens; may be repeated.")],
    owner: Annotated[
        str | None, typer.Option(metavar="USER", help="Acts for this user and sees what is theirs alone.")
    ] = None,
    expires: Annotated[
        str | None, typer.Option(metavar="PERIOD", help="When it ends: `12h`, `90d`, `52w`. Default: never.")
    ] = None,
) -> None:
    """Make an API key for a program or for another machine. It is shown once and kept nowhere.

    Example: ccm-orchestrator token create "build server" --scope read --scope submit --expires 90d
    """
    expires_at = (datetime.now(UTC) + period(expires)).isoformat() if expires is not None else None
    body = {"name": name, "scopes": scope, "owner": owner, "expires_at": expires_at}
    async with connect(session.settings) as connection:
        made = await connection.post("/api/keys", body)
        session.show(made, lambda: new_key(made), ids=made["key"])


async def list_keys(
    session: Session,
    everything: Annotated[bool, typer.Option("--all", help="Also those that expired or were revoked.")] = False,
) -> None:
    """List the API keys: what they open, for whom, until when, and when they were last used."""
    async with connect(session.settings) as connection:
        keys = [key for key in await connection.get("/api/keys") if everything or key["works"]]
        session.show(keys, lambda: key_table(keys), ids="\n".join(key["prefix"] for key in keys))


async def rotate(
    session: Session,
    key: KeyArgument,
    overlap: Annotated[
        str, typer.Option(metavar="PERIOD", help="How long the old key works beside the new one; `0` ends it now.")
    ] = "24h",
) -> None:
    """Replace an API key by a new one that opens the same, for as long a time."""
    overlap_s = 0.0 if overlap == "0" else period(overlap).total_seconds()
    async with connect(session.settings) as connection:
        made = await connection.post(f"/api/keys/{segment(key)}/rotate", {"overlap_s": overlap_s})
        session.show(made, lambda: new_key(made), ids=made["key"])


async def revoke(session: Session, key: KeyArgument) -> None:
    """End an API key, from this moment and for ever."""
    async with connect(session.settings) as connection:
        await connection.delete(f"/api/keys/{segment(key)}")
        session.show({"revoked": key}, text(f"The API key {key} opens nothing any more."))


async def flush_users(session: Session) -> None:
    """Make the daemon ask anew which keys the Supabase project signs its users' tokens with."""
    async with connect(session.settings) as connection:
        await connection.post("/api/users/flush-keys")
        session.show({"flushed": True}, text("The next user's token makes the daemon ask for the project's keys anew."))


def period(words: str) -> timedelta:
    """`90d` as a time. Raises: InputError."""
    found = _PERIOD.fullmatch(words)
    length = timedelta(seconds=int(found[1]) * _UNITS[found[2]]) if found else timedelta()
    if not timedelta() < length <= _LONGEST:
        raise InputError(f"Expected a period such as `30m`, `12h`, `90d` or `52w`, got: {words!r}.")
    return length
