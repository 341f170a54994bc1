"""Reading hook events that agents left, in order, none twice, none half."""

import os
import subprocess
from pathlib import Path

import pytest

from ccm_orchestrator.adapters.rundir import RunDirectories, spool
from tests.launching import eventually

RUN_ID = "a" * 32
OLD_NS = 1_700_000_000_000_000_000


@pytest.fixture
def pad(tmp_path: Path) -> RunDirectories:
    made = RunDirectories(tmp_path)
    made.spool_directory(RUN_ID).mkdir(parents=True)
    return made


def put(pad: RunDirectories, name: str, raw: bytes, modified_ns: int | None = None) -> Path:
    path = pad.spool_directory(RUN_ID) / name
    path.write_bytes(raw)
    if modified_ns is not None:
        os.utime(path, ns=(modified_ns, modified_ns))
    return path


async def test_events_come_in_the_order_of_their_making(pad: RunDirectories) -> None:
    put(pad, "PostToolUse.101.0.json", b"{}", OLD_NS)
    put(pad, "PreToolUse.100.0.json", b"{}", OLD_NS)
    put(pad, "SessionStart.99999.0.json", b"{}", OLD_NS - 1)
    put(pad, "Stop.7.0.json", b"{}", OLD_NS + 1)
    names = [record.hook_event_name for record in await pad.spooled(RUN_ID)]
    assert names == ["SessionStart", "PreToolUse", "PostToolUse", "Stop"]


async def test_an_event_stays_until_it_is_discarded(pad: RunDirectories) -> None:
    put(pad, "Stop.7.0.json", b'{"a": 1}', OLD_NS)
    [first], [again] = await pad.spooled(RUN_ID), await pad.spooled(RUN_ID)
    assert first == again
    assert (first.run_id, first.raw, first.at.timestamp()) == (RUN_ID, b'{"a": 1}', OLD_NS / 1e9)
    await pad.discard([first, first])
    assert await pad.spooled(RUN_ID) == ()


async def test_a_process_id_that_comes_again_makes_another_event(pad: RunDirectories) -> None:
    put(pad, "Stop.7.0.json", b"{}", OLD_NS)
    [first] = await pad.spooled(RUN_ID)
    await pad.discard([first])
    put(pad, "Stop.7.0.json", b"{}", OLD_NS + 1)
    [second] = await pad.spooled(RUN_ID)
    assert first.event_id != second.event_id


async def test_a_limit_takes_the_oldest(pad: RunDirectories) -> None:
    for number in range(10):
        put(pad, f"Stop.{number}.0.json", b"{}", OLD_NS + number)
    assert [record.event_id.split(".")[1] for record in await pad.spooled(RUN_ID, 3)] == ["0", "1", "2"]


async def test_what_is_no_event_is_left_alone(pad: RunDirectories) -> None:
    for name in ("note.txt", "Stop.json", "Stop.x.0.json", ".Stop.1.0.json.swp", "Stop.1.0.json.tmp"):
        put(pad, name, b"{}", OLD_NS)
    target = put(pad, "secret", b"{}", OLD_NS)
    (pad.spool_directory(RUN_ID) / "Stop.1.0.json").symlink_to(target)
    assert list(await pad.spooled(RUN_ID)) == []


async def test_half_a_payload_waits_for_the_other_half(
    pad: RunDirectories, bystander: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "_WRITING_S", 1000.0)
    path = put(pad, f"Stop.{bystander.pid}.0.json", b'{"a": ')
    assert list(await pad.spooled(RUN_ID)) == []
    path.write_bytes(b'{"a": 1}')
    [record] = await pad.spooled(RUN_ID)
    assert record.raw == b'{"a": 1}'


async def test_half_a_payload_is_evidence_once_its_hook_is_gone(
    pad: RunDirectories, bystander: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "_WRITING_S", 1000.0)
    put(pad, f"Stop.{bystander.pid}.0.json", b'{"a": ')
    bystander.kill()
    bystander.wait()
    [record] = await pad.spooled(RUN_ID)
    assert record.raw == b'{"a": '


async def test_a_hook_that_hangs_does_not_hide_its_payload_for_ever(pad: RunDirectories) -> None:
    put(pad, f"Stop.{os.getpid()}.0.json", b"not JSON")
    eventually(lambda: spool.read(pad.spool_directory(RUN_ID), RUN_ID, 9), "the payload counts as complete")


async def test_a_huge_payload_is_cut(pad: RunDirectories) -> None:
    put(pad, "Stop.1.0.json", b'"' + b"x" * spool.MAX_EVENT_BYTES + b'"', OLD_NS)
    [record] = await pad.spooled(RUN_ID)
    assert len(record.raw) == spool.MAX_EVENT_BYTES


async def test_a_batch_does_not_fill_the_memory(pad: RunDirectories) -> None:
    for number in range(12):
        put(pad, f"Stop.{number}.0.json", b"1" * (8 << 20), OLD_NS + number)
    first = await pad.spooled(RUN_ID)
    assert sum(len(record.raw) for record in first) <= spool.MAX_BATCH_BYTES + spool.MAX_EVENT_BYTES
    await pad.discard(first)
    assert len(first) + len(await pad.spooled(RUN_ID)) == 12
