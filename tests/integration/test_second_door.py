"""A daemon that lets other machines and users in, from its configuration on."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import httpx
import pytest

from ccm_orchestrator.cli.exits import Exit
from ccm_orchestrator.demo.sandbox import free_port
from ccm_orchestrator.security.doors import TlsFiles
from tests.certificates import write_certificate
from tests.command_line import CommandLine, command_line
from tests.serving import answering
from tests.signing import ANNA, SHARED, claims, jwk_set, signed

pytestmark = pytest.mark.slow


class Keys(BaseHTTPRequestHandler):
    """A project that publishes its keys."""

    def do_GET(self) -> None:
        found = self.path == "/auth/v1/.well-known/jwks.json"
        self.send_response(200 if found else 404)
        self.end_headers()
        self.wfile.write(jwk_set() if found else b"")

    def log_message(self, *_: object) -> None: ...


@contextmanager
def project() -> Iterator[str]:
    with answering(Keys) as port:
        yield f"http://127.0.0.1:{port}"


@contextmanager
def daemon_with(home: Path, **env: str) -> Iterator[CommandLine]:
    with command_line(home, more_env=env) as ccm, ccm.daemon():
        yield ccm


def get(url: str, token: str, tls: TlsFiles | None = None) -> int:
    verify = ssl.create_default_context(cafile=tls.certificate) if tls else True
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.get(url, headers=headers, verify=verify, trust_env=False, timeout=30).status_code


def test_users_of_the_project_call_with_the_tokens_that_it_signed(tmp_path: Path) -> None:
    with project() as url:
        env = {"CCM_USERS__ISSUER": f"{url}/auth/v1", "CCM_USERS__SCOPES": "read,submit"}
        issuer = f"{url}/auth/v1"
        with daemon_with(tmp_path, **env) as ccm:
            base = f"http://127.0.0.1:{ccm.port}"
            assert get(f"{base}/api/tasks", signed(claims(iss=issuer))) == 200
            assert get(f"{base}/api/keys", signed(claims(iss=issuer))) == 403
            assert get(f"{base}/api/tasks", signed(claims())) == 401
            assert get(f"{base}/api/tasks", signed(claims(iss=issuer, role="service_role"))) == 403
            assert get(f"{base}/api/tasks", signed(claims(iss=issuer), SHARED, "HS256", "ec")) == 401
            assert ccm("project", "add", ".", "--name", "sample").code == Exit.OK
            headers = {"Authorization": f"Bearer {signed(claims(iss=issuer))}"}
            body = {"project": "sample", "prompt": "x"}
            made = httpx.post(f"{base}/api/tasks", json=body, headers=headers, trust_env=False, timeout=30).json()
            assert made["task_id"] in ccm("task", "list", "-q").out
            assert ANNA in ccm("audit", "list", "--json").out
            assert ccm("token", "flush-users").code == Exit.OK
            assert get(f"{base}/api/tasks", signed(claims(iss=issuer))) == 200


def test_a_shared_secret_is_believed_where_the_settings_say_so(tmp_path: Path) -> None:
    env = {"CCM_USERS__ISSUER": "https://project.test/auth/v1", "CCM_USERS__SCOPES": "read"}
    env |= {"CCM_USERS__VERIFY_BY": "shared_secret", "CCM_SUPABASE__JWT_SECRET": SHARED}
    with daemon_with(tmp_path, **env) as ccm:
        url = f"http://127.0.0.1:{ccm.port}/api/tasks"
        assert get(url, signed(claims(), SHARED, "HS256", None)) == 200
        assert get(url, signed()) == 401
        assert SHARED not in ccm("config", "get").out


def test_attack_8_the_second_door_opens_when_it_is_meant_and_somebody_may_come_in(tmp_path: Path) -> None:
    tls, port = write_certificate(tmp_path), free_port()
    env = {"CCM_REMOTE__HOST": "127.0.0.1", "CCM_REMOTE__PORT": str(port)}
    env |= {"CCM_REMOTE__TLS_CERTIFICATE": str(tls.certificate), "CCM_REMOTE__TLS_KEY": str(tls.key)}
    with command_line(tmp_path, more_env=env) as ccm:
        assert "serve --expose" in refusal(ccm, "serve")
        assert "nobody could come in" in refusal(ccm, "serve", "--expose")
        key = ccm("token", "create", "far away", "--scope", "read", "-q").out.strip()
        with ccm.daemon("--expose"):
            assert get(f"https://127.0.0.1:{port}/api/tasks", key, tls) == 200
            assert get(f"https://127.0.0.1:{port}/internal/agent-status", key, tls) == 404
            assert get(f"http://127.0.0.1:{ccm.port}/api/tasks", key) == 200
            local = (ccm.state / "api-token").read_text().strip()
            assert get(f"https://127.0.0.1:{port}/api/tasks", local, tls) == 401
            assert ccm("status").code == Exit.OK


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"CCM_API__HOST": "0.0.0.0"}, "loopback address"),
        ({"CCM_REMOTE__HOST": "0.0.0.0", "CCM_REMOTE__EXPOSE": "true"}, "in the open"),
        ({"CCM_USERS__SCOPES": "read"}, "supabase.url"),
        ({"CCM_USERS__SCOPES": "read,admin"}, "users.scopes"),
        ({"CCM_USERS__SCOPES": "read", "CCM_USERS__ISSUER": "http://project.test/auth/v1"}, "users.issuer"),
        (
            {
                "CCM_USERS__SCOPES": "read",
                "CCM_USERS__ISSUER": "https://p.test/auth/v1",
                "CCM_USERS__VERIFY_BY": "shared_secret",
            },
            "supabase.jwt_secret",
        ),
        ({"CCM_API__ORIGINS": "*"}, "api.origins"),
        ({"CCM_API__ORIGINS": "https://board.example.com/"}, "api.origins"),
        ({"CCM_API__ORIGINS": "null"}, "api.origins"),
        ({"CCM_API__HOSTS": "example.com"}, "api.hosts"),
    ],
)
def test_a_daemon_that_would_be_open_does_not_start(tmp_path: Path, env: dict[str, str], words: str) -> None:
    with command_line(tmp_path, more_env=env) as ccm:
        assert words in refusal(ccm, "serve")


def refusal(ccm: CommandLine, *words: str) -> str:
    """Ends by itself, with one sentence."""
    said = ccm(*words)
    assert said.code == Exit.BAD_INPUT, said
    return said.err
