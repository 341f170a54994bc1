"""What the doctor says of the doors."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ccm_orchestrator.settings import Settings
from ccm_orchestrator.settings.sources import load_settings
from ccm_orchestrator.setup import door_checks
from ccm_orchestrator.setup.check import Check, Verdict
from tests.certificates import write_certificate
from tests.signing import SHARED, jwk_set
from tests.unit.security.test_jwks import answering

NOW = datetime.now(UTC)
HEAD = b"HTTP/1.1 200 OK\r\nConnection: close"


@pytest.fixture(autouse=True)
def away_from_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def door(now: datetime = NOW, **remote: Any) -> list[Check]:
    return door_checks.second_door(load_settings(flags={"remote": remote}), now)


def test_nothing_is_said_of_what_is_not_there() -> None:
    assert door() == []


def test_a_door_with_a_certificate(tmp_path: Path) -> None:
    tls = write_certificate(tmp_path)
    values: dict[str, Any] = {
        "host": "0.0.0.0",
        "expose": True,
        "tls_certificate": str(tls.certificate),
        "tls_key": str(tls.key),
    }
    (soon,), (ended,) = door(**values), door(NOW + timedelta(days=3), **values)
    assert (soon.verdict, ended.verdict) == (Verdict.WARN, Verdict.WARN)
    assert "ends on" in soon.found and "ended on" in ended.found
    assert door(NOW - timedelta(days=30), **values)[0].verdict is Verdict.OK


@pytest.mark.parametrize(
    ("values", "verdict", "words"),
    [
        ({"expose": True, "plain_http": True}, Verdict.WARN, "without TLS"),
        ({"expose": True}, Verdict.FAIL, "in the open"),
        ({}, Verdict.FAIL, "serve --expose"),
    ],
)
def test_a_door_that_is_doubtful(values: dict[str, Any], verdict: Verdict, words: str) -> None:
    (check,) = door(host="0.0.0.0", **values)
    assert check.verdict is verdict and words in check.found and check.why and check.fix


def settings(**users: Any) -> Settings:
    return load_settings(flags={"users": {"scopes": ["read"], **users}})


async def examined(**users: Any) -> Check:
    (check,) = await door_checks.users(settings(**users), {})
    return check


async def test_keys_of_the_project_are_counted() -> None:
    async with answering(HEAD, jwk_set()) as url:
        check = await examined(issuer="https://project.test/auth/v1", jwks_url=url)
    assert check.verdict is Verdict.OK and "3 keys" in check.found


@pytest.mark.parametrize("body", [json.dumps({"keys": []}).encode(), b"<html>"])
async def test_a_project_without_usable_keys(body: bytes) -> None:
    async with answering(HEAD, body) as url:
        check = await examined(issuer="https://project.test/auth/v1", jwks_url=url)
    assert check.verdict is Verdict.WARN and check.why and check.fix


async def test_settings_that_do_not_go_together() -> None:
    assert (await examined()).verdict is Verdict.FAIL
    check = await examined(issuer="https://project.test/auth/v1", verify_by="shared_secret")
    assert check.verdict is Verdict.FAIL and "supabase.jwt_secret" in check.found


async def test_a_shared_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CCM_SUPABASE__JWT_SECRET", SHARED)
    check = await examined(issuer="https://project.test/auth/v1", verify_by="shared_secret")
    assert check.verdict is Verdict.OK and SHARED not in check.found


async def test_without_users_nothing_is_asked() -> None:
    assert await door_checks.users(load_settings(), {}) == []
