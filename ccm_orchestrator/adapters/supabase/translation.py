"""The one place where an error of the HTTP client, of PostgREST or of the database becomes one of ours."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx
from postgrest.exceptions import APIError

from ccm_orchestrator import errors
from ccm_orchestrator.adapters.supabase.answers import AnswerTooLarge
from ccm_orchestrator.adapters.supabase.wire import inbound
from ccm_orchestrator.errors import (
    InputError,
    OrchestratorError,
    SchemaTooOld,
    StoreError,
    StoreRefused,
    StoreUnavailable,
)

REFUSALS: Mapping[str, type[OrchestratorError]] = {
    kind.__name__: kind
    for kind in (
        errors.DependencyCycle,
        errors.Fenced,
        errors.InvalidProject,
        errors.InvalidTask,
        errors.NotFound,
        errors.QueueFull,
        errors.TaskNotFound,
        errors.UnknownDependency,
        errors.UnknownProject,
        errors.WrongStatus,
        errors.SchemaTooNew,
        errors.SchemaTooOld,
    )
}
"""What a function of the database may raise by name, in the detail of its error."""
SHOWN = 300
"""Characters of a server's words that a sentence quotes."""

_MISSING_FUNCTION = frozenset({"PGRST202", "42883"})
_MISSING_TABLE = frozenset({"PGRST205", "42P01", "42703", "3F000"})
_NOT_STORABLE = frozenset({"22P05", "22021", "22003"})
"""A text that Postgres cannot hold, a number out of range."""
_MIGRATE = "run `ccm-orchestrator db migrate`"
_ASK_DOCTOR = "`ccm-orchestrator doctor` says which of them is wrong, and what to do"
_TRANSIENT = frozenset({408, 425, 429})
_PAUSED = 540
_OVER_QUOTA = 402
_TOO_LARGE = 413


_NO_ANSWER = (
    *(httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, httpx.CookieConflict),
    *(OSError, RecursionError),
)


@dataclass(slots=True)
class Exchange:
    """One request, and of its answer what the client library loses: the status and the headers."""

    url: str
    function: str
    response: httpx.Response | None = None

    @property
    def status(self) -> int | None:
        return None if self.response is None else self.response.status_code

    @property
    def body(self) -> bytes:
        return b"" if self.response is None else self.response.content

    @property
    def retry_after_s(self) -> float | None:
        """Seconds that the server asks to wait; a date is counted from the server's own."""
        value = self._header("retry-after")
        if value.strip().isdigit():
            return float(value)
        until, now = _date(value), self.server_time
        return None if until is None or now is None else max((until - now) / timedelta(seconds=1), 0.0)

    @property
    def server_time(self) -> datetime | None:
        return _date(self._header("date"))

    @property
    def is_json(self) -> bool:
        return "json" in self._header("content-type").partition(";")[0]

    def _header(self, name: str) -> str:
        return "" if self.response is None else str(self.response.headers.get(name, ""))


def _date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None


@contextmanager
def translated(exchange: Exchange) -> Iterator[None]:
    """Raises: StoreUnavailable, StoreRefused, SchemaTooOld, StoreError; what the database refused by name."""
    try:
        yield
    except APIError as error:
        raise _answered(error, exchange) from error
    except _NO_ANSWER as error:
        raise _unanswered(error, exchange) from error


def not_the_api(exchange: Exchange) -> StoreUnavailable:
    """A page for people where the answer of a function was expected."""
    return StoreUnavailable(
        f"{exchange.url} does not answer as Supabase does (it sent {_kind_of_answer(exchange)}): "
        "a captive portal answers in its place, or `supabase.url` is wrong.",
        status=exchange.status,
    )


def _kind_of_answer(exchange: Exchange) -> str:
    kind = exchange.response.headers.get("content-type", "") if exchange.response is not None else ""
    return f"{kind.partition(';')[0] or 'nothing readable'}, status {exchange.status}"


# --- no answer ---


def _unanswered(error: Exception, exchange: Exchange) -> OrchestratorError:
    """Texts of the client are quoted only where they cannot hold a header."""
    url = exchange.url
    match error:
        case httpx.InvalidURL() | httpx.UnsupportedProtocol() | httpx.TooManyRedirects():
            return StoreRefused(f"{url} cannot be used as the address of Supabase: mend `supabase.url`.")
        case httpx.ConnectError() if "CERTIFICATE" in str(error).upper():
            problem = "shows a certificate that cannot be trusted: a captive portal, a wrong address, or a wrong clock"
        case httpx.ConnectError() | httpx.ConnectTimeout():
            problem = f"cannot be reached ({_reason(error)}): look at the network and at `supabase.url`"
        case httpx.TimeoutException():
            problem = "did not answer in time"
        case httpx.ProxyError():
            problem = "cannot be reached through the proxy that HTTPS_PROXY names"
        case AnswerTooLarge():
            return StoreError(f"The answer of {url} to {exchange.function} was not read to its end: it is {error}.")
        case RecursionError():
            return StoreError(f"The answer of {url} to {exchange.function} is nested too deep.")
        case httpx.StreamError() | httpx.CookieConflict():
            return StoreError(f"The answer of {url} to {exchange.function} could not be read ({type(error).__name__}).")
        case _:
            problem = f"broke the connection off ({type(error).__name__}); whether the call took effect is unknown"
    return StoreUnavailable(f"Supabase at {url} {problem}.")


def _reason(error: Exception) -> str:
    return _clipped(str(error)) or "no answer to the connection attempt"


# --- an answer that is an error ---


def _answered(error: APIError, exchange: Exchange) -> OrchestratorError:
    named = _named(error)
    if named is not None:
        return named
    status = exchange.status or 0
    kind, problem = _meaning(error, exchange, status)
    return kind(
        f"Supabase at {exchange.url} {problem}.",
        status=status,
        code=error.code,
        retry_after_s=exchange.retry_after_s,
    )


def _named(error: APIError) -> OrchestratorError | None:
    """What a function of ours raised on purpose: its sentence is kept, its facts become attributes."""
    try:
        detail = json.loads(error.details) if isinstance(error.details, str) else error.details
    except ValueError:
        return None
    if not isinstance(detail, dict) or not isinstance(detail.get("error"), str):
        return None
    kind = REFUSALS.get(detail["error"])
    facts = {str(name): value for name, value in inbound(detail).items() if name not in ("error", "message")}
    return None if kind is None else kind(inbound(error.message), **facts)


def _meaning(error: APIError, exchange: Exchange, status: int) -> tuple[type[OrchestratorError], str]:
    """The class, and the sentence without its subject."""
    said = f"({_said(error)})"
    if status == 400 and not error.code and not error.message:  # PostgREST 12, once per connection that died
        return StoreUnavailable, "lost its connection to the database; whether the call took effect is unknown"
    if status in _TRANSIENT:
        return StoreUnavailable, f"asks for patience {said}"
    if status == _PAUSED:
        return StoreRefused, "is paused: restore the project in the Supabase dashboard"
    if status >= 500:
        return StoreUnavailable, f"does not work at the moment, status {status} {said}"
    if 300 <= status < 400:
        return StoreUnavailable, "redirects the call: a captive portal answers in its place, or `supabase.url` is wrong"
    return _refusal(error, exchange, status, said)


def _refusal(error: APIError, exchange: Exchange, status: int, said: str) -> tuple[type[OrchestratorError], str]:
    code = error.code or ""
    if code in _MISSING_FUNCTION:
        return SchemaTooOld, (
            f"has no function `{exchange.function}` as this version calls it: {_MIGRATE}; if it finds nothing to do, "
            "`ccm-orchestrator doctor`"
        )
    if code in _MISSING_TABLE:
        return SchemaTooOld, f"lacks something that this version needs {said}: {_MIGRATE}"
    if code in _NOT_STORABLE:
        return InputError, f"cannot store a value {said}"
    if status == _TOO_LARGE:
        return InputError, f"refuses the call of `{exchange.function}` as too large: put the material in a file"
    if status == _OVER_QUOTA:
        return (
            StoreRefused,
            f"refuses to work, its plan's limit is reached {said}: look at the project's billing",
        )
    if status == 401:
        return StoreRefused, f"does not accept the key or token of this system {said}: {_ASK_DOCTOR}"
    if status == 403 or code in ("22023", "42501"):
        return (
            StoreRefused,
            f"does not let this system call `{exchange.function}` {said}: `ccm-orchestrator doctor` says what to do",
        )
    if status in (404, 405, 406, 410):
        return StoreRefused, f"does not know `{exchange.function}`, status {status} {said}: mend `supabase.url`"
    return StoreError, f"refused the call of `{exchange.function}`, status {status} {said}"


def _said(error: APIError) -> str:
    parts = [error.message, error.hint]
    text = ". ".join(part.rstrip(".") for part in parts if part)
    return _clipped(text) or f"code {error.code}"


def _clipped(text: str) -> str:
    line = re.sub(r"\s+", " ", text).strip()
    return line if len(line) <= SHOWN else line[:SHOWN] + "…"
