"""The tables of the configuration file, one class each."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ccm_orchestrator.settings.types import (
    Argv,
    Authorities,
    Count,
    CountOrZero,
    Directory,
    Expect,
    Fraction,
    Origins,
    Port,
    Positive,
    PositiveOrZero,
    ProjectUrl,
    SecretText,
    SecureUrl,
    Slug,
    Switch,
    Table,
    Text,
    UserScopes,
    VariableNames,
)

_CREDENTIAL = "systemd's `supabase-"


class ApiTable(Table):
    """Where the daemon listens."""

    host: Text = Field(default="127.0.0.1", description="Address that the API listens on. Keep it on loopback.")
    port: Port = Field(default=8765, description="TCP port of the API.")
    hosts: Authorities = Field(
        default=(),
        description="Names with port under which people reach the daemon beside its addresses, such as a tunnel's or a "
        "proxy's.",
    )
    origins: Origins = Field(
        default=(), description="Web pages that may call the API with a token; every other page is refused."
    )
    requests_per_s: PositiveOrZero = Field(
        default=50.0, description="Requests per second of one API key or user; four seconds' worth may come at once."
    )
    streams: CountOrZero = Field(
        default=64, description="Streams and WebSockets that one API key or user may have open; 0: as many as it likes."
    )


class RemoteTable(Table):
    """A second door, for other machines.

    What is for this machine alone is not behind it, and the machine's own token is not good there. It opens only when
    an API key or a user could come in by it.
    """

    host: Text | None = Field(
        default=None,
        description="IP address on which other machines reach the API, such as 0.0.0.0; none: they do not.",
    )
    port: Port = Field(default=8766, description="TCP port of the second door.")
    expose: Switch = Field(
        default=False, description="Says that this is meant. Without it a daemon with `host` refuses to start."
    )
    tls_certificate: Directory | None = Field(
        default=None, description="PEM file with the certificate, and those between it and its root."
    )
    tls_key: Directory | None = Field(default=None, description="PEM file with the certificate's key.")
    plain_http: Switch = Field(
        default=False, description="Serve without TLS, where the network is private by other means, such as a VPN."
    )
    requests_per_s: PositiveOrZero = Field(
        default=100.0, description="Requests per second of one address; four seconds' worth may come at once."
    )


class StopTable(Table):
    """How patiently an agent is ended when its task is stopped: interrupt, then terminate, then kill."""

    interrupt_grace_s: Positive = Field(
        default=30.0, description="Seconds between the interrupt and the terminate signal."
    )
    terminate_grace_s: Positive = Field(default=10.0, description="Seconds between the terminate and the kill signal.")


class RetryTable(Table):
    """Tries that were lost to infrastructure (spawn, tmux, memory, overload): they consume no attempt of the task."""

    first_delay_s: Positive = Field(
        default=30.0, description="Seconds before the first new try; doubles with each further one."
    )
    longest_delay_s: Positive = Field(default=900.0, description="The delay grows no further than this many seconds.")
    jitter: Fraction = Field(default=0.2, description="Share by which a delay is varied at random, up or down.")
    tries: Count = Field(default=5, description="Tries in a row that may be lost before the task fails.")


class TmuxTable(Table):
    """The tmux server in which agents live. It is our own: your other sessions are never touched."""

    socket_name: Slug = Field(default="ccm", description="Name of the server's socket, as in `tmux -L ccm`.")
    socket_directory: Directory | None = Field(
        default=None,
        description="Directory of the socket, as in TMUX_TMPDIR.",
        json_schema_extra={"default_text": "where tmux puts it"},
    )
    session: Slug = Field(default="ccm", description="Session that holds one window per agent.")
    start_command: Argv = Field(
        default=(),
        description="Command that starts the server where a service keeps it, as `service install` sets it up; empty: "
        "the daemon starts it itself.",
    )


class ClaudeTable(Table):
    """How Claude Code is found and what it gets to see of the daemon's environment."""

    executable: Text = Field(default="claude", description="Name or path of Claude Code.")
    environment: VariableNames = Field(
        default=(),
        description="Names of variables that agents inherit from the daemon, beside those every agent gets.",
    )


class BackupTable(Table):
    """Copies of the database, made while it is in use."""

    interval_hours: Positive = Field(default=1.0, description="Hours between two backups.")
    keep: CountOrZero = Field(default=24, description="How many backups are kept; 0 makes none.")


class LogTable(Table):
    """What the daemon writes about itself."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Expect("one of `debug`, `info`, `warning`, `error`")
    ] = Field(default="info", description="Least severity that is logged.")
    format: Annotated[Literal["text", "json"], Expect("`text` or `json`")] = Field(
        default="text", description="One readable line, or one JSON object, per record."
    )
    max_mb: Positive = Field(default=10.0, description="Megabytes after which `logs/daemon.log` is set aside.")
    max_days: Positive = Field(default=7.0, description="Days after which it is set aside, too.")
    keep: CountOrZero = Field(default=5, description="How many files that were set aside are kept.")
    syslog: Directory | None = Field(
        default=None,
        description="Socket of a syslog daemon that gets every line, too, usually `/dev/log`.",
        json_schema_extra={"default_text": "none"},
    )


class TracesTable(Table):
    """Traces by OpenTelemetry, with the extra `otel`. Where they go, and how, the usual OTEL_* variables say, too."""

    enabled: Switch = Field(default=False, description="Tell of each task, run and tool that ended.")
    endpoint: SecureUrl | None = Field(
        default=None,
        description="Where they go.",
        json_schema_extra={"default_text": "as OTEL_EXPORTER_OTLP_ENDPOINT says, or http://localhost:4318"},
    )


class SupabaseTable(Table):
    """The Supabase project whose queue this machine serves. Without `url` the queue is the embedded one alone.

    A secret comes from the environment, from a file that only its owner reads, or from systemd
    (`LoadCredential=supabase-key:…`); never from a command line. One of them proves who this machine is.
    """

    url: ProjectUrl | None = Field(default=None, description="URL of the project.")
    key: SecretText | None = Field(
        default=None,
        repr=False,
        description="Key of the project: publishable (or the older `anon`) beside a proof of who this machine is, or "
        "secret (or the older `service_role`), which opens everything to it.",
    )
    key_file: Directory | None = Field(
        default=None, description="File that holds `key`.", json_schema_extra={"default_text": _CREDENTIAL + "key`"}
    )
    system_token: SecretText | None = Field(
        default=None,
        repr=False,
        description="Proof: a JWT with the role `authenticated` and the claim `system_id`, made by somebody else.",
    )
    system_token_file: Directory | None = Field(
        default=None,
        description="File that holds `system_token`.",
        json_schema_extra={"default_text": _CREDENTIAL + "system-token`"},
    )
    jwt_secret: SecretText | None = Field(
        default=None,
        repr=False,
        description="Proof: the older projects' shared JWT secret, with which this machine signs tokens of its own.",
    )
    jwt_secret_file: Directory | None = Field(
        default=None,
        description="File that holds `jwt_secret`.",
        json_schema_extra={"default_text": _CREDENTIAL + "jwt-secret`"},
    )
    signing_key_file: Directory | None = Field(
        default=None,
        description="Proof: file with a private key of the project (JWK or PEM; ES256 or RS256), with which this "
        "machine signs tokens of its own.",
        json_schema_extra={"default_text": _CREDENTIAL + "signing-key`"},
    )
    signing_key_id: Text | None = Field(default=None, description="The key's `kid`, where it is PEM.")
    realtime: Switch = Field(
        default=True, description="Hear of new tasks at once; without it the queue is looked at every few seconds."
    )
    sweep_live_s: Positive = Field(
        default=20.0, description="Seconds between two looks at the queue while Realtime tells of new tasks."
    )
    sweep_degraded_s: Positive = Field(default=3.0, description="The same while it does not.")


class UsersTable(Table):
    """People who are signed in to the Supabase project and call this machine's API with their own tokens (JWTs).

    Nobody may until `scopes` or `grants` say so: whoever can sign up there could otherwise start agents here. A user
    sees only what belongs to them; `admin` is for this machine's own token and for API keys.
    """

    scopes: UserScopes = Field(default=(), description="What every user of the project may do here.")
    grants: Annotated[
        dict[str, UserScopes], Expect('a table of users and lists of scopes, such as { "6b1f…" = ["approve"] }')
    ] = Field(
        default_factory=dict,
        description="What single users may do besides, by their id (the `sub` of their tokens).",
        json_schema_extra={"default_text": "nothing"},
    )
    verify_by: Annotated[Literal["jwks", "shared_secret"], Expect("`jwks` or `shared_secret`")] = Field(
        default="jwks",
        description="How tokens are verified: with the public keys that the project publishes, or, in older projects, "
        "with `supabase.jwt_secret`.",
    )
    issuer: SecureUrl | None = Field(
        default=None,
        description="Who must have issued the tokens (`iss`).",
        json_schema_extra={"default_text": "`SUPABASE.URL/auth/v1`"},
    )
    audience: Text = Field(default="authenticated", description="For whom the tokens must be meant (`aud`).")
    jwks_url: SecureUrl | None = Field(
        default=None,
        description="Where the project publishes its keys.",
        json_schema_extra={"default_text": "`ISSUER/.well-known/jwks.json`"},
    )


class FaultsTable(Table):
    """Faults on purpose, for tests of the daemon itself. Leave them alone."""

    crash_at: str = Field(default="", description="Point at which the daemon kills itself.")
    hang_at: str = Field(default="", description="Point at which the orchestrator hangs, or loop that does, once.")
    hang_until: Directory | None = Field(default=None, description="File whose appearance ends that hang.")
