"""One daemon per state directory."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ccm_orchestrator.adapters.state_lock import StateLock
from ccm_orchestrator.errors import StateDirectoryBusy, StoreUnavailable


class TestStateLock:
    def test_a_second_daemon_is_refused_with_the_first_ones_pid(self, tmp_path: Path) -> None:
        script = (
            "import sys, pathlib\n"
            "from ccm_orchestrator.adapters.state_lock import StateLock\n"
            "StateLock(pathlib.Path(sys.argv[1])).acquire()\n"
            "print('held', flush=True); sys.stdin.read()\n"
        )
        command = [sys.executable, "-c", script, str(tmp_path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
            assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
            with pytest.raises(StateDirectoryBusy, match=f"process {holder.pid}.*{tmp_path}") as refusal:
                StateLock(tmp_path).acquire()
            assert refusal.value.__dict__["pid"] == holder.pid
            holder.kill()
        with StateLock(tmp_path) as lock:
            lock.acquire()
            assert lock.path.read_text() == f"{os.getpid()}\n"

    def test_a_directory_that_cannot_be_made_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(StoreUnavailable, match=f"{tmp_path}/file/state"):
            StateLock(tmp_path / "file" / "state").acquire()


def test_a_daemon_waits_for_a_command_that_passes(tmp_path: Path) -> None:
    command = StateLock(tmp_path, passing=True)
    command.acquire()
    with ThreadPoolExecutor(1) as threads:
        daemon = StateLock(tmp_path)
        starting = threads.submit(daemon.acquire)
        with pytest.raises(TimeoutError):
            starting.result(0.2)
        command.release()
        starting.result(30)
        with pytest.raises(StateDirectoryBusy):
            command.acquire()
        daemon.release()


def test_commands_wait_for_each_other(tmp_path: Path) -> None:
    def pass_through(_: int) -> None:
        with StateLock(tmp_path, passing=True):
            pass

    with ThreadPoolExecutor(8) as threads:
        assert len(list(threads.map(pass_through, range(50)))) == 50
