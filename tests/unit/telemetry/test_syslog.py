"""Lines for a syslog daemon: how they look, and that nobody waits for one that is away."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ccm_orchestrator.telemetry.lines import formatter
from ccm_orchestrator.telemetry.masking import Masker
from ccm_orchestrator.telemetry.syslog import Syslog


@pytest.fixture(autouse=True)
def as_in_the_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def syslog(path: Path) -> Iterator[Syslog]:
    with closing(Syslog(path, formatter("text", Masker(["canary-of-a-secret"]), "desk", timed=False))) as made:
        yield made


def _daemon(path: Path) -> socket.socket:
    """It has read nothing yet."""
    path.unlink(missing_ok=True)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    bound.bind(str(path))
    bound.settimeout(5)
    return bound


def _tell(syslog: Syslog, text: str, level: int = logging.INFO, **extra: object) -> None:
    record = logging.LogRecord("ccm", level, "x.py", 1, text, (), None)
    vars(record).update(extra)
    syslog.handle(record)


def test_a_line_is_one_message_with_its_priority_and_no_secret(path: Path, syslog: Syslog) -> None:
    with closing(_daemon(path)) as daemon:
        _tell(syslog, "the key canary-of-a-secret was refused", logging.ERROR, task_id="abcd")
        message = daemon.recv(10_000).decode()
        assert message.startswith(f"<27>ccm-orchestrator[{os.getpid()}]: ")
        assert "was refused" in message and "task_id=abcd" in message and "canary" not in message


def test_a_traceback_is_a_message_a_line(path: Path, syslog: Syslog) -> None:
    with closing(_daemon(path)) as daemon:
        try:
            raise ValueError("no")
        except ValueError as error:
            info = (ValueError, error, error.__traceback__)
        syslog.handle(logging.LogRecord("ccm", logging.ERROR, "x.py", 1, "it failed", (), info))
        _tell(syslog, "the end")
        messages: list[str] = []
        while not messages or "the end" not in messages[-1]:
            messages.append(daemon.recv(10_000).decode())
        assert "it failed" in messages[0] and "ValueError: no" in messages[-2]
        assert all(message.startswith("<2") and "\n" not in message for message in messages[:-1])


def test_one_that_comes_later_or_is_started_anew_gets_what_is_said_from_then_on(path: Path, syslog: Syslog) -> None:
    _tell(syslog, "nobody hears this")
    for sentence in ("first", "second"):
        with closing(_daemon(path)) as daemon:
            _tell(syslog, sentence)
            assert daemon.recv(10_000).decode().endswith(sentence)


def test_one_that_does_not_read_keeps_nobody_waiting(path: Path, syslog: Syslog) -> None:
    with closing(_daemon(path)) as daemon:
        for number in range(500):
            _tell(syslog, f"line {number}")
        heard = daemon.recv(10_000).decode()
        assert heard.endswith("line 0")
        _tell(syslog, "there is room again")
        while not heard.endswith("there is room again"):
            heard = daemon.recv(10_000).decode()
