"""Where a daemon is, and what to say to be let in."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import httpx

from ccm_orchestrator.errors import DaemonUnreachable, InvalidSettings
from ccm_orchestrator.security.secrets import API_TOKEN_FILE, read_secret

STATE_DIRECTORY = Path("~/.local/state/ccm-orchestrator")
URL_FILE = "api-url"


def checked_url(url: str, *, allow_plain_http: bool) -> httpx.URL:
    """Raises: InvalidSettings when it is no address, or would send the token in clear over a network."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as error:
        raise InvalidSettings(f"Expected the daemon's address to be a URL, got: {url!r} ({error}).") from error
    if parsed.scheme not in ("http", "https") or not parsed.host or parsed.query or parsed.userinfo:
        raise InvalidSettings(f"Expected the daemon's address to be like https://desk.example:8765, got: {url!r}.")
    if parsed.scheme == "http" and not (allow_plain_http or _is_loopback(parsed.host)):
        raise InvalidSettings(
            f"The token would cross the network in clear on its way to {url}: use https, a tunnel such as `ssh -L`, "
            "or, where the network itself encrypts, `allow_plain_http`."
        )
    return parsed


def of_this_machine(state_directory: Path | None = None) -> tuple[str, str]:
    """URL and token of the daemon that runs on this state directory. Raises: DaemonUnreachable."""
    directory = (state_directory or STATE_DIRECTORY).expanduser()
    try:
        token = read_secret(directory / API_TOKEN_FILE).reveal()
        return (directory / URL_FILE).read_text(encoding="utf-8").strip(), token
    except (InvalidSettings, OSError) as error:
        raise DaemonUnreachable(f"It has not said yet where it listens: {error}.") from error


def authorization(token: str | None) -> dict[str, str]:
    """Raises: InvalidSettings when it can be no token."""
    if token is None:
        return {}
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise InvalidSettings("Expected the token to be one word of printable ASCII characters.")
    return {"Authorization": f"Bearer {token}"}


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
