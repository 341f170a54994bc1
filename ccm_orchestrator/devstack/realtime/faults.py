"""How fast the server is, and what is wrong with it. Both may be changed at any time."""

from __future__ import annotations

from dataclasses import dataclass

FOREVER_S = 1e9


@dataclass
class Pace:
    """Seconds. Where no caller says otherwise, those of Realtime itself, but for the first two."""

    poll_s: float = 0.05
    """Between two looks when nothing happens. Realtime idles at 0.5."""
    ready_s: float = 0.1
    """From the reply to a join until changes are delivered. Realtime takes 1 to 3, and more on a cold start."""
    join_error_s: float = 5.0
    """Before a join is refused; meanwhile nothing else of this socket is answered."""
    handshake_error_s: float = 2.0
    idle_s: float = 60.0
    """A socket without any frame from the client is closed after that."""
    retry_s: float = 5.0
    """Before a subscription is tried again that the database did not answer."""
    publication_s: float = 60.0
    """Between two looks at which tables are published; a change subscribes everybody anew."""
    expiry_look_s: float = 300.0
    """At least this often the clock is compared with a token's expiry."""


@dataclass
class Faults:
    """Nothing is wrong as long as nothing is set."""

    copies: int = 1
    """How often each event is sent."""
    reorder_s: float = 0.0
    """Events are held for this long, and then sent last first."""
    silent: bool = False
    """Events are skipped, as by Realtime's rate limit."""
    mute_heartbeats: bool = False
    never_ready: bool = False
    """Joins are answered, but changes are never delivered."""
    slow_join_s: float = 0.0
    join_error: str | None = None
    """The reason that every join gets, for instance one of `REASONS`."""
    handshake_error: tuple[int, str] | None = None
    """HTTP status and text for everybody who connects."""
    unpublished: bool = False
    """As if the publication had no table."""


REASONS = {
    "expired": "InvalidJWTToken: Token has expired 3 seconds ago",
    "joins": "ClientJoinRateLimitReached: Too many joins per second",
    "users": "ConnectionRateLimitReached: Too many connected users",
    "channels": "ChannelRateLimitReached: Too many channels",
    "database connections": "DatabaseConnectionRateLimitReached: Too many connections to the database",
    "starting": "InitializingProjectConnection: Realtime is initializing the project connection",
    "unreachable": "UnableToConnectToProject: Realtime was unable to connect to the project database",
    "restarting": "RealtimeRestarting: Realtime is restarting, please standby",
    "unknown": "Unknown Error on Channel",
}
CLOSES_SOCKET = "ClientJoinRateLimitReached"
"""A join that is refused with it costs the whole socket: it is closed with 1001."""
