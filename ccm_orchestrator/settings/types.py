"""What a setting may be. Each type carries the words that finish the sentence "expected `key` to be …"."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, SecretStr


@dataclass(frozen=True, slots=True)
class Expect:
    """What a value of the type is, in the words of error messages and of the documentation."""

    words: str


class Table(BaseModel):
    """A table of the configuration: unknown keys are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True)


def _expanded(path: Path) -> Path:
    expanded = path.expanduser()
    if not expanded.is_absolute() or "\0" in str(path):
        raise ValueError("not an absolute path")
    return expanded


def _split(value: object) -> object:
    """An environment variable gives a list as `a,b`, or as JSON."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return json.loads(value)
    return [item.strip() for item in value.split(",") if item.strip()]


def _number(value: object) -> object:
    """`true` is no number, though Python thinks so."""
    if isinstance(value, bool):
        raise ValueError("not a number")
    return value


def _project_url(text: str) -> str:
    """Without a slash at its end. What is pasted in its place often: the page of the dashboard, the API's own path."""
    url = urlsplit(_secure_url(text))
    host = url.hostname or ""
    path = url.path.rstrip("/")
    if host in ("supabase.com", "app.supabase.com") or path.endswith("/v1"):
        raise ValueError("not the URL of a project")
    return text.rstrip("/")


def _secure_url(text: str) -> str:
    url = urlsplit(text)
    host, port = url.hostname or "", url.port  # a port that is none raises here
    if url.username or url.password or url.query or url.fragment or not host or port == 0:
        raise ValueError("not a plain URL")
    if url.scheme != "https" and not (url.scheme == "http" and _is_loopback(host)):
        raise ValueError("not https")
    if not text.isascii() or any(char.isspace() for char in text):
        raise ValueError("not a URL")
    return text.rstrip("/")


def is_loopback_url(url: str) -> bool:
    return _is_loopback(urlsplit(url).hostname or "")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


HIDDEN = "(hidden)"

_Number = BeforeValidator(_number)

Positive = Annotated[float, Field(gt=0), _Number, Expect("a positive number")]
PositiveOrZero = Annotated[float, Field(ge=0), _Number, Expect("a positive number, or 0 for none")]
Count = Annotated[int, Field(ge=1), _Number, Expect("a whole number of at least 1")]
CountOrZero = Annotated[int, Field(ge=0), _Number, Expect("a whole number of at least 0")]
Fraction = Annotated[float, Field(ge=0, le=1), _Number, Expect("a number from 0 to 1")]
Port = Annotated[int, Field(ge=1, le=65535), _Number, Expect("a whole number from 1 to 65535")]
Directory = Annotated[Path, AfterValidator(_expanded), Expect("an absolute path (`~` is fine)")]
Switch = Annotated[bool, Expect("true or false")]
Text = Annotated[str, Field(min_length=1), Expect("a text that is not empty")]
Name = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$"),
    Expect("a name of 1 to 63 letters, digits, `-`, `_` and `.` that begins with a letter or digit"),
]
SLUG_WORDS = "a name of 1 to 32 letters, digits, `-` and `_` that begins with a letter or digit"
Names = Annotated[tuple[Name, ...], BeforeValidator(_split), Expect('a list of names, such as ["gpu", "linux"]')]
Slug = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$"),
    Expect(SLUG_WORDS),
]
VariableNames = Annotated[
    tuple[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")], ...],
    BeforeValidator(_split),
    Expect('a list of names of environment variables, such as ["HTTPS_PROXY"]'),
]
Texts = Annotated[tuple[str, ...], BeforeValidator(_split), Expect('a list of texts, such as ["Read", "Bash(git *)"]')]
Argv = Annotated[tuple[str, ...], BeforeValidator(_split), Expect("a list of texts")]
ProjectUrl = Annotated[
    str,
    AfterValidator(_project_url),
    Expect("the URL of a project, such as `https://PROJECT.supabase.co` (https, or http on loopback)"),
]


def _authority(text: str) -> str:
    url = urlsplit(f"//{text}")
    if not url.hostname or url.netloc != text or not url.port or url.username is not None or not text.isascii():
        raise ValueError("not a host with a port")
    return text.lower()


def _origin(text: str) -> str:
    """As browsers write it: no path, and no port that the scheme means anyway."""
    url = urlsplit(text)
    implied = {"http": 80, "https": 443}.get(url.scheme)
    if implied is None or not url.hostname or text.lower() != f"{url.scheme}://{url.netloc}".lower():
        raise ValueError("not an origin")
    if url.port == implied or "*" in text or url.username is not None or not text.isascii():
        raise ValueError("not an origin")
    return text.lower()


Authorities = Annotated[
    tuple[Annotated[str, AfterValidator(_authority)], ...],
    BeforeValidator(_split),
    Expect('a list of names with ports, such as ["agents.example.com:443"]'),
]
Origins = Annotated[
    tuple[Annotated[str, AfterValidator(_origin)], ...],
    BeforeValidator(_split),
    Expect('a list of origins without wildcards, such as ["https://board.example.com"]'),
]
SecureUrl = Annotated[str, AfterValidator(_secure_url), Expect("a URL without a query (https, or http on loopback)")]
UserScopes = Annotated[
    tuple[Literal["read", "submit", "control", "approve"], ...],
    BeforeValidator(_split),
    Expect('a list of `read`, `submit`, `control` and `approve`, such as ["read", "submit"]'),
]
SecretText = Annotated[
    SecretStr,
    Field(min_length=1),
    PlainSerializer(lambda _: HIDDEN, return_type=str),
    Expect("a text that is not empty"),
]
"""Never shown. The setting must not be shown by its name either: `Field(repr=False)`."""
