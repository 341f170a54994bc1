"""The daemon's log file is read whole, in order, over every way in which it may be set aside."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ccm_orchestrator.cli.daemon_log import DaemonLog


class Logs:
    """Of one file; all are closed at the end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open: list[DaemonLog] = []

    def open(self, wanted: str = "") -> DaemonLog:
        self._open.append(DaemonLog(self.path, wanted))
        return self._open[-1]

    def close(self) -> None:
        for log in self._open:
            log.close()


@pytest.fixture
def logs(path: Path) -> Iterator[Logs]:
    with closing(Logs(path)) as logs:
        yield logs


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "daemon.log"


def _write(path: Path, *lines: str) -> None:
    with path.open("a") as file:
        file.writelines(f"{line}\n" for line in lines)


def test_the_last_lines_go_back_into_files_that_were_set_aside(path: Path, logs: Logs) -> None:
    _write(path.with_name("daemon.log.2"), "one", "two")
    _write(path.with_name("daemon.log.1"), "three", "four")
    _write(path, "five")
    assert logs.open().last(0) == []
    assert logs.open().last(1) == ["five"]
    assert logs.open().last(3) == ["three", "four", "five"]
    assert logs.open().last(50) == ["one", "two", "three", "four", "five"]
    assert logs.open("o").last(2) == ["two", "four"]


def test_without_a_file_there_is_nothing_until_there_is_one(path: Path, logs: Logs) -> None:
    log = logs.open()
    assert log.last(5) == []
    assert log.new() == []
    _write(path, "first")
    assert log.new() == ["first"]


def test_news_are_told_once_and_whole(path: Path, logs: Logs) -> None:
    _write(path, "old")
    log = logs.open()
    assert log.last(5) == ["old"]
    with path.open("a") as file:
        file.write("half")
    assert log.new() == []
    _write(path, " and half", "next")
    assert log.new() == ["half and half", "next"]
    assert log.new() == []


@pytest.mark.parametrize("seen", [True, False])
def test_a_file_that_is_set_aside_is_read_to_its_end_first(path: Path, logs: Logs, seen: bool) -> None:
    _write(path, "a")
    log = logs.open()
    log.last(1)
    _write(path, "b")
    if seen:
        assert log.new() == ["b"]
    path.rename(path.with_name("daemon.log.1"))
    assert log.new() == ([] if seen else ["b"])
    _write(path, "c", "d")
    assert log.new() == ["c", "d"]


def test_one_that_was_set_aside_while_it_was_read_is_not_told_twice(path: Path, logs: Logs) -> None:
    _write(path, "a")
    log = logs.open()
    path.rename(path.with_name("daemon.log.1"))
    _write(path, "b")
    assert log.last(5) == ["a", "b"]
    assert log.new() == []


def test_a_file_that_was_emptied_is_begun_again(path: Path, logs: Logs) -> None:
    _write(path, "a long line")
    log = logs.open()
    log.last(1)
    path.write_text("b\n")
    assert log.new() == ["b"]


def test_bytes_that_are_no_text_hide_no_line(path: Path, logs: Logs) -> None:
    path.write_bytes(b"a\xff\nb\n")
    assert logs.open().last(2) == ["a\ufffd", "b"]
