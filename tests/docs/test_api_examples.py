"""The examples of the page about the API do what it says, with curl and with Python, on the real API."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ccm_orchestrator.domain.task import TaskStatus
from tests.api_house import API_TOKEN, House, served
from tests.docs.commands import Reader, shell_blocks
from tests.docs.source import CHECKOUT
from tests.integration.test_session_streams import begin, finish, write

PAGE = (CHECKOUT / "docs" / "api.md").read_text()
PYTHON = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)
LOOK_S = 0.02


@pytest.fixture
async def house() -> House:
    house = House()
    await house.prepare()
    return house


@asynccontextmanager
async def working(house: House) -> AsyncIterator[dict[str, str]]:
    """The API on a socket, and agents that do what they are told at once. Yields the variables of the examples."""

    async def work() -> None:
        while True:
            if (await house.store.counts())[TaskStatus.QUEUED]:
                run = await begin(house, uuid.uuid4().hex)
                write(house, run, '{"type": "result"}\n')
                await finish(house, run)
            await asyncio.sleep(LOOK_S)

    async with served(house) as server:
        agents = asyncio.create_task(work())
        try:
            yield {"CCM": f"http://127.0.0.1:{server.port}", "TOKEN": API_TOKEN, "PATH": os.environ["PATH"]}
        finally:
            agents.cancel()
            await asyncio.wait({agents})


def test_every_shell_block_is_run_or_says_why_not() -> None:
    assert [f"docs/api.md:{block.line}" for block in shell_blocks(PAGE) if not block.is_explained] == []


async def test_the_examples_for_curl_work(house: House, tmp_path: Path) -> None:
    async with working(house) as env:
        said = await asyncio.to_thread(Reader(tmp_path, env).follow, PAGE)
    assert len(said) >= 4 and '"outcome":"succeeded"' in said[1]


@pytest.mark.parametrize("example", PYTHON, ids=[str(n) for n in range(len(PYTHON))])
async def test_the_examples_for_python_work(house: House, tmp_path: Path, example: str) -> None:
    script = tmp_path / "example.py"
    script.write_text(example)
    async with working(house) as env:
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, str(script)],
            env=env | {"PYTHONPATH": str(CHECKOUT), "PYTHONWARNINGS": "error"},
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 0, done.stderr
