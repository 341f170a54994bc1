"""Requests that nobody should send, and what answers them."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI
from fastapi.routing import APIRoute
from hypothesis import strategies as st
from starlette.types import Message

from ccm_orchestrator.api.guards import Guard
from tests.api_house import API_TOKEN, INTERNAL_SECRET, PORT, RUN_A, token_of

PATIENCE_S = 20.0
TOKENS = {
    Guard.OPEN: "",
    Guard.API_TOKEN: API_TOKEN,
    Guard.INTERNAL_SECRET: INTERNAL_SECRET,
    Guard.RUN_TOKEN: token_of(RUN_A),
}
"""Of who may do everything: a stranger's garbage is not even looked at."""

ODD_TEXTS = [
    *(
        "",
        " ",
        ".",
        "..",
        "%",
        "%00",
        "\x00",
        "\n",
        "\r\nX: y",
        "null",
        "true",
        "NaN",
        "-1",
        "1e999",
        "9" * 40,
        "*",
        "?",
    ),
    *("' OR 1=1 --", "$(touch x)", "`x`", "#(touch x)", "../../etc/passwd", "..\\..", "{{7*7}}", "<script>", "\u202e"),
    *("\ufeff", "\U0001f600", "é" * 300, "x" * 5000, "a" * 32, "aaaa", "local", "supabase", "[1", '{"a":', "\x1b[31m"),
]
texts = st.sampled_from(ODD_TEXTS) | st.text(max_size=40) | st.characters()
"""Hypothesis makes half characters only where it is asked to: JSON may carry them, a path cannot."""
half_characters = st.sampled_from(["\ud800", "a\udfffb", "\udc80"])
numbers = (
    st.integers()
    | st.floats(allow_nan=True)
    | st.sampled_from([2**31, 2**53 + 1, 2**63, -(2**63) - 1, 10**400, 1e308, -0.0, float("inf")])
)
leaves = st.none() | st.booleans() | numbers | texts | half_characters
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=8
)
"""What Python writes as JSON, NaN included."""

DEEP = b"[" * 100_000
ODD_BODIES = (b"", b"\x00", b"\xff\xfe{", b"{", b"[]", b"null", b'"x"', b"0", b"NaN", b'{"a":1,"a":2}', b"{}x", DEEP)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    query: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


VALID: Mapping[str, Any] = {
    "project": "blog",
    "prompt": "Fix it",
    "text": "Go on",
    "agent": "ccm-aaaaaaaa",
    "decision": "allow",
    "draining": False,
    "path": "/tmp",
    "name": "new",
    "tool_name": "Bash",
    "tool_input": {"command": "ls"},
}
"""A right value for each field that a request may have to carry: then the odd ones beside it get a look, too."""
TASK = "TASK"
"""Stands in a path for the id of a task that there is."""


@st.composite
def requests(draw: st.DrawFn, route: APIRoute, token: str) -> Asked:
    method = draw(st.sampled_from(sorted(route.methods or {"GET"})))
    path = re.sub(r"\{(\w+)(:\w+)?\}", lambda found: draw(part(found[1])), route.path)
    names = [parameter.alias for parameter in route.dependant.query_params]
    query = draw(st.dictionaries(st.sampled_from([*names, "x"]), texts | st.integers().map(str), max_size=4))
    head = [
        (parameter.alias.lower().encode(), draw(texts).encode("utf-8", "replace")[:200])
        for parameter in route.dependant.header_params
        if draw(st.booleans())
    ]
    head.append((b"host", f"127.0.0.1:{PORT}".encode()))
    head.append((b"authorization", f"Bearer {token}".encode()))
    head.append((b"content-type", draw(st.sampled_from([b"application/json"] * 4 + [b"", b"text/plain", b"\xff"]))))
    body = draw(bodies(route))
    head.append((b"content-length", str(len(body)).encode()))
    return Asked(method, path, urlencode(query, errors="replace").encode(), tuple(head), body)


def part(name: str) -> st.SearchStrategy[str]:
    """One part of a path."""
    known = st.sampled_from([RUN_A, "ccm-aaaaaaaa", TASK, TASK, "blog", "desk", "aaaa"])
    fitting = texts.filter(lambda text: ("/" not in text and text.isprintable()) or "\n" in text)
    return st.just(RUN_A) if name == "run_id" else known | fitting


def bodies(route: APIRoute) -> st.SearchStrategy[bytes]:
    fields = sorted(route.body_field.field_info.annotation.model_fields) if _has_model(route) else ["x"]  # type: ignore[union-attr]
    right = {name: VALID[name] for name in fields if name in VALID}
    odd = st.dictionaries(st.sampled_from(fields), values, max_size=2)
    shaped = odd.map(lambda wrong: right | wrong)
    return st.sampled_from(ODD_BODIES) | (shaped | shaped | shaped | values).map(
        lambda value: json.dumps(value).encode()
    )


def _has_model(route: APIRoute) -> bool:
    return route.body_field is not None and hasattr(route.body_field.field_info.annotation, "model_fields")


async def answer(app: FastAPI, asked: Asked) -> Answer:
    """As a server would call it. Raises: TimeoutError when it is not answered."""
    sent: list[Message] = []
    body = iter([{"type": "http.request", "body": asked.body, "more_body": False}])

    async def receive() -> Message:
        message = next(body, None)
        if message is None:
            await asyncio.Event().wait()
        assert message is not None
        return message

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "method": asked.method,
        "path": asked.path,
        "raw_path": asked.path.encode("utf-8", "replace"),
        "query_string": asked.query,
        "root_path": "",
        "headers": list(asked.headers),
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", PORT),
        "state": {},
    }
    async with asyncio.timeout(PATIENCE_S):
        await app(scope, receive, send)
    head = {name.decode().lower(): value.decode("latin-1") for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], head, b"".join(message.get("body", b"") for message in sent[1:]))
