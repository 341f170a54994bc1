"""The log file: rotation by size and age, files that others move, and full disks."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from ccm_orchestrator.telemetry.lines import formatter
from ccm_orchestrator.telemetry.log_file import DAY_S, LogFile, Rotation
from ccm_orchestrator.telemetry.masking import Masker

NOW = 1_764_115_200.0


class Book:
    """A log file with a clock that jumps."""

    def __init__(self, directory: Path, **rotation: float) -> None:
        self.path = directory / "daemon.log"
        self.now = NOW
        self.rotation = Rotation(**rotation)  # type: ignore[arg-type]
        self.open()

    def open(self) -> None:
        self.file = LogFile(self.path, self.rotation, lambda: self.now)
        self.file.setFormatter(formatter("text", Masker()))

    def log(self, text: str) -> None:
        record = logging.LogRecord("ccm", logging.INFO, "x.py", 1, text, (), None)
        record.created = self.now
        self.file.handle(record)

    def names(self) -> list[str]:
        return sorted(path.name for path in self.path.parent.iterdir())

    def text(self, number: int = 0) -> str:
        return self.path.with_name(f"daemon.log.{number}" if number else "daemon.log").read_text()


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return Book(tmp_path, max_bytes=200, keep=2)


def test_a_file_that_is_large_enough_is_set_aside_and_the_oldest_ones_go(book: Book) -> None:
    for number in range(20):
        book.log(f"line {number:02}")
    assert book.names() == ["daemon.log", "daemon.log.1", "daemon.log.2"]
    assert all(
        path.stat().st_size <= 200 and path.stat().st_mode & 0o777 == 0o600 for path in book.path.parent.iterdir()
    )
    kept = (book.text(2) + book.text(1) + book.text()).splitlines()
    last = [f"line {number:02}" for number in range(20)][-len(kept) :]
    assert len(kept) > 6 and [line[-7:] for line in kept] == last


def test_a_line_longer_than_a_whole_file_is_written_whole(book: Book) -> None:
    book.log("x" * 1000)
    book.log("next")
    assert "x" * 1000 in book.text(1) and book.text().endswith("next\n")


def test_a_file_that_is_old_enough_is_set_aside_even_by_a_later_daemon(tmp_path: Path) -> None:
    book = Book(tmp_path, max_age_s=7 * DAY_S)
    book.log("first")
    book.file.close()
    book.now += 6 * DAY_S
    book.open()
    book.log("six days later")
    assert book.names() == ["daemon.log"]
    book.now += 2 * DAY_S
    book.log("eight days later")
    assert "six days" in book.text(1) and "six days" not in book.text()


def test_no_file_is_kept_where_none_is_wanted(tmp_path: Path) -> None:
    book = Book(tmp_path, max_bytes=100, keep=0)
    for _ in range(5):
        book.log("again and again and again")
    assert book.names() == ["daemon.log"]


@pytest.mark.parametrize("told", [True, False])
def test_a_file_that_somebody_else_moved_is_left_and_a_new_one_begun(book: Book, told: bool) -> None:
    book.log("before")
    moved = book.path.rename(book.path.with_name("moved"))
    if told:
        book.file.reopen()
    book.log("after")
    assert "after" in book.text() and "after" not in moved.read_text()


def test_a_file_that_somebody_else_emptied_goes_on_at_its_beginning(book: Book) -> None:
    book.log("before")
    book.path.write_text("")
    book.log("after")
    assert book.path.read_bytes().startswith(b"20") and book.text().endswith("after\n")


def test_a_directory_that_somebody_removed_costs_lines_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    book = Book(tmp_path / "logs")
    book.log("before")
    book.path.unlink()
    book.path.parent.rmdir()
    book.log("lost")
    book.path.parent.mkdir()
    book.log("after")
    assert book.file.lost == 1
    first, last = book.text().splitlines()
    assert "WARNING 1 lines before this one could not be written" in first and last.endswith("after")


def test_a_full_disk_costs_lines_and_nothing_else(book: Book, capsys: pytest.CaptureFixture[str]) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    book.path.symlink_to(full)
    for _ in range(3):
        book.log("lost")
    assert book.file.lost == 3 and capsys.readouterr().err == ""
    book.path.unlink()
    book.log("found")
    assert "3 lines before this one" in book.text() and "lost\n" not in book.text()
