"""The hook script: whatever it is given, the agent notices nothing and the payload is kept."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ccm_orchestrator.adapters.rundir import RunDirectories
from tests.launching import PATIENCE_S, fill

HOOK = Path(__file__).parents[2] / "hooks" / "ccm-hook"
RUN_ID = "5" * 32
SHELLS = [shell for shell in ("dash", "bash", "busybox") if shutil.which(shell)]


def call(shell: str, *arguments: str, payload: bytes) -> subprocess.CompletedProcess[bytes]:
    command = [shell, "sh"] if shell == "busybox" else [shell]
    return subprocess.run(
        [*command, str(HOOK), *arguments], input=payload, capture_output=True, timeout=PATIENCE_S, check=False
    )


def assert_unnoticed(done: subprocess.CompletedProcess[bytes]) -> None:
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def pad(tmp_path: Path) -> RunDirectories:
    made = RunDirectories(tmp_path)
    made.spool_directory(RUN_ID).mkdir(parents=True)
    return made


@pytest.mark.parametrize(
    "payload",
    [
        b'{"hook_event_name": "Stop"}',
        b"",
        b"{not JSON",
        b'{"nul": "\0"}',
        b"\xff\xfe\0" * 1000,
        b'"' + b"x" * (1 << 20) + b'"',
    ],
    ids=["plain", "empty", "invalid", "nul", "binary", "1 MB"],
)
async def test_every_payload_is_kept_to_the_byte(shell: str, pad: RunDirectories, payload: bytes) -> None:
    assert_unnoticed(call(shell, str(pad.spool_directory(RUN_ID)), "PreToolUse", payload=payload))
    [record] = await pad.spooled(RUN_ID)
    assert (record.raw, record.hook_event_name) == (payload, "PreToolUse")
    [path] = pad.spool_directory(RUN_ID).iterdir()
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_is_there_is_never_overwritten(shell: str, pad: RunDirectories) -> None:
    spool = pad.spool_directory(RUN_ID)
    interpreter = "busybox sh" if shell == "busybox" else shell
    occupy = f'for n in 0 1 2; do : > "{spool}/Stop.$$.$n.json"; done'
    script = f"{occupy}; exec {interpreter} {HOOK} {spool} Stop"
    subprocess.run(["sh", "-c", script], input=b"{}", timeout=PATIENCE_S, check=True)
    assert sorted(path.name.split(".")[2] for path in spool.iterdir()) == ["0", "1", "2", "3"]
    assert sorted(path.stat().st_size for path in spool.iterdir()) == [0, 0, 0, 2]


def test_a_missing_directory_is_not_noticed(shell: str, tmp_path: Path) -> None:
    assert_unnoticed(call(shell, str(tmp_path / "missing"), "Stop", payload=b"x" * (1 << 20)))
    assert_unnoticed(call(shell, payload=b"{}"))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_not_noticed(shell: str, small_disk: Path) -> None:
    filler = fill(small_disk)
    assert_unnoticed(call(shell, str(small_disk), "Stop", payload=b"x" * (1 << 20)))
    filler.unlink()
    assert_unnoticed(call(shell, str(small_disk), "Stop", payload=b"x" * (2 << 20)))


async def test_many_hooks_at_once_lose_nothing(pad: RunDirectories) -> None:
    assert set(call_fifty(str(pad.spool_directory(RUN_ID)))) == {0}
    records = await pad.spooled(RUN_ID)
    assert {json.loads(record.raw)["number"] for record in records} == set(range(50))
    assert len({record.event_id for record in records}) == 50


def call_fifty(spool: str) -> list[int]:
    hooks = [subprocess.Popen([HOOK, spool, "PostToolUse"], stdin=subprocess.PIPE) for _ in range(50)]
    for number, hook in enumerate(hooks):
        assert hook.stdin is not None
        hook.stdin.write(json.dumps({"number": number, "filling": "x" * 10_000}).encode())
        hook.stdin.close()
    return [hook.wait(PATIENCE_S) for hook in hooks]


def test_what_a_hook_costs(pad: RunDirectories, tmp_path: Path) -> None:
    """Printed, not judged: the machine may be busy."""
    python_hook = tmp_path / "hook.py"
    python_hook.write_text("import json, sys\nopen(sys.argv[1] + '/x', 'w').write(json.dumps(json.load(sys.stdin)))\n")
    spool = str(pad.spool_directory(RUN_ID))
    payload = json.dumps({"tool_input": "x" * 1500}).encode()
    for name, command in (
        ("ccm-hook", [str(HOOK), spool, "Stop"]),
        ("python", [sys.executable, str(python_hook), spool]),
    ):
        started_s = time.perf_counter()
        for _ in range(20):
            subprocess.run(command, input=payload, check=True)
        print(f"{name}: {(time.perf_counter() - started_s) / 20 * 1000:.1f} ms a call")


def test_the_script_has_no_lint(tmp_path: Path) -> None:
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed")
    assert subprocess.run(["shellcheck", str(HOOK)], capture_output=True, check=False).stdout == b""
