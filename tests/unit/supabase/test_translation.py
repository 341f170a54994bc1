"""Every error of the HTTP client, every status and every refusal of the database becomes one sentence of ours."""

import inspect
import json
import re
from collections.abc import Iterator

import httpx
import pytest
from postgrest.exceptions import APIError

from ccm_orchestrator import errors
from ccm_orchestrator.adapters.supabase.migrations import shipped_migrations
from ccm_orchestrator.adapters.supabase.translation import REFUSALS, Exchange, translated
from ccm_orchestrator.errors import (
    Fenced,
    InputError,
    OrchestratorError,
    SchemaTooOld,
    StoreError,
    StoreRefused,
    StoreUnavailable,
)

URL = "https://project.supabase.co"


def tree(kind: type[BaseException]) -> Iterator[type[BaseException]]:
    yield kind
    for below in kind.__subclasses__():
        yield from tree(below)


CLIENT_ERRORS = sorted(
    {
        kind
        for root in vars(httpx).values()
        if inspect.isclass(root) and issubclass(root, Exception)
        for kind in tree(root)
        if kind.__module__.startswith("httpx") and issubclass(kind, Exception)
    },
    key=lambda kind: kind.__name__,
)

OURS: dict[str, type[StoreError]] = {
    **dict.fromkeys(("InvalidURL", "UnsupportedProtocol", "TooManyRedirects"), StoreRefused),
    **dict.fromkeys(
        ("StreamError", "StreamConsumed", "StreamClosed", "ResponseNotRead", "RequestNotRead", "CookieConflict"),
        StoreError,
    ),
}
"""Whatever is not named here may be over in a moment."""


def made(kind: type[Exception], text: str) -> Exception:
    parameters = inspect.signature(kind).parameters
    request = httpx.Request("POST", URL)
    more = {"request": request, "response": httpx.Response(500, request=request)}
    kept = {name: value for name, value in more.items() if name in parameters}
    return kind(text, **kept) if "message" in parameters else kind()


def ours(error: Exception, exchange: Exchange | None = None) -> OrchestratorError:
    with pytest.raises(OrchestratorError) as caught, translated(exchange or Exchange(URL, "claim_tasks")):
        raise error
    return caught.value


def answered(status: int, error: APIError, **headers: str) -> OrchestratorError:
    response = httpx.Response(status, headers={k.replace("_", "-"): v for k, v in headers.items()})
    return ours(error, Exchange(URL, "claim_tasks", response))


def api_error(code: str | None = None, message: str = "what it says", details: object = None) -> APIError:
    return APIError({"code": code, "message": message, "hint": None, "details": details})


class TestNoAnswer:
    def test_the_tree_of_the_client_is_as_it_was_when_it_was_mapped(self) -> None:
        assert {kind.__name__ for kind in CLIENT_ERRORS} >= OURS.keys()
        assert len(CLIENT_ERRORS) == 28, "a class came or went: give it its meaning"

    @pytest.mark.parametrize("kind", CLIENT_ERRORS)
    def test_each_class_becomes_one_sentence(self, kind: type[Exception]) -> None:
        error = ours(made(kind, "words"))
        assert type(error) is OURS.get(kind.__name__, StoreUnavailable)
        assert URL in error.message and error.message.endswith(".")
        assert error.__cause__ is not None

    def test_a_header_that_the_client_quotes_is_not_quoted_again(self) -> None:
        error = ours(httpx.LocalProtocolError("Illegal header value b'Bearer secret\\n'"))
        assert "secret" not in error.message

    def test_a_certificate_that_cannot_be_trusted_names_its_causes(self) -> None:
        error = ours(httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate has expired"))
        assert type(error) is StoreUnavailable and "captive portal" in error.message and "clock" in error.message

    def test_errors_of_the_system_are_ours_too(self) -> None:
        assert type(ours(PermissionError(13, "Permission denied"))) is StoreUnavailable

    def test_what_is_not_the_clients_passes(self) -> None:
        with pytest.raises(LookupError), translated(Exchange(URL, "claim_tasks")):
            raise LookupError("mine")


class TestAnswers:
    @pytest.mark.parametrize("status", [*range(300, 600)])
    def test_every_status_has_its_place(self, status: int) -> None:
        error = answered(status, api_error())
        if status in (408, 425, 429) or status in range(300, 400) or (status >= 500 and status != 540):
            expected: type[OrchestratorError] = StoreUnavailable
        elif status in (401, 402, 403, 404, 405, 406, 410, 540):
            expected = StoreRefused
        else:
            expected = InputError if status == 413 else StoreError
        assert type(error) is expected
        assert vars(error)["status"] == status
        assert URL in error.message and error.message.endswith(".") and "\n" not in error.message

    @pytest.mark.parametrize(
        ("status", "code", "kind", "words"),
        [
            (401, "PGRST301", StoreRefused, "does not accept the key or token"),
            (401, "PGRST303", StoreRefused, "does not accept the key or token"),
            (401, "42501", StoreRefused, "does not accept"),
            (403, "42501", StoreRefused, "does not let this system call `claim_tasks`"),
            (400, "22023", StoreRefused, "does not let this system"),
            (
                404,
                "PGRST202",
                SchemaTooOld,
                "no function `claim_tasks` as this version calls it",
            ),
            (404, "42883", SchemaTooOld, "db migrate"),
            (404, "42P01", SchemaTooOld, "db migrate"),
            (404, "PGRST205", SchemaTooOld, "db migrate"),
            (400, "42703", SchemaTooOld, "db migrate"),
            (404, "404", StoreRefused, "mend `supabase.url`"),
            (400, "22P05", InputError, "cannot store a value"),
            (400, "P0001", StoreError, "refused the call"),
            (409, "23505", StoreError, "refused the call"),
            (500, "57014", StoreUnavailable, "at the moment"),
            (500, "40P01", StoreUnavailable, "at the moment"),
            (503, "PGRST000", StoreUnavailable, "at the moment"),
            (504, "PGRST003", StoreUnavailable, "at the moment"),
            (429, None, StoreUnavailable, "patience"),
            (540, None, StoreRefused, "paused"),
            (402, None, StoreRefused, "billing"),
        ],
    )
    def test_known_answers(self, status: int, code: str | None, kind: type[Exception], words: str) -> None:
        error = answered(status, api_error(code))
        assert type(error) is kind and words in error.message

    @pytest.mark.parametrize(
        ("header", "date", "seconds"),
        [
            ("7", "", 7.0),
            ("Wed, 21 Oct 2026 07:28:30 GMT", "Wed, 21 Oct 2026 07:28:00 GMT", 30.0),
            ("Wed, 21 Oct 2026 07:28:30 GMT", "", None),
            ("soon", "", None),
            ("", "", None),
        ],
    )
    def test_the_servers_wish_to_wait_is_kept(self, header: str, date: str, seconds: float | None) -> None:
        error = answered(503, api_error(), Retry_After=header, Date=date)
        assert vars(error)["retry_after_s"] == seconds

    def test_an_empty_refusal_is_a_lost_connection_to_the_database(self) -> None:
        assert type(answered(400, api_error("", ""))) is StoreUnavailable

    def test_long_words_of_a_server_are_cut_and_put_in_one_line(self) -> None:
        error = answered(500, api_error(message="a\n" * 1000))
        assert len(error.message) < 500 and "\n" not in error.message


class TestRefusalsByName:
    @pytest.mark.parametrize("name", sorted(REFUSALS))
    @pytest.mark.parametrize("status", [401, 404, 409, 422, 429])
    def test_a_named_refusal_keeps_its_sentence_and_its_facts(self, name: str, status: int) -> None:
        details = json.dumps({"error": name, "task_id": "t1", "limit": 20})
        error = answered(status, api_error("PT409", "The sentence for a person.", details))
        assert type(error) is REFUSALS[name]
        assert error.message == "The sentence for a person."
        assert (vars(error)["task_id"], vars(error)["limit"]) == ("t1", 20)

    def test_the_detail_may_come_parsed(self) -> None:
        assert type(answered(409, api_error("PT409", "Superseded.", {"error": "Fenced"}))) is Fenced

    @pytest.mark.parametrize("details", ["", "no JSON", "[]", '{"error": 1}', '{"error": "SystemExit"}', 7])
    def test_anything_else_is_read_by_its_status(self, details: object) -> None:
        assert type(answered(409, api_error("PT409", "x", details))) is StoreError

    def test_every_name_that_the_functions_raise_is_known(self) -> None:
        raised = set(re.findall(r"ccm\.refuse\(\s*'(\w+)'", "\n".join(shipped_migrations().values())))
        assert "TaskNotFound" in raised and raised <= REFUSALS.keys()

    def test_every_name_is_a_class_of_ours(self) -> None:
        assert all(getattr(errors, name) is kind for name, kind in REFUSALS.items())
