"""Commands that a page promises: its ```sh blocks, taken out and run.

Every such block is preceded by a line that says what the tests do with it, invisible to readers of the page:

    <!-- run -->                                must succeed
    <!-- run in background until "is ready" --> starts, prints those words, and goes on while the next blocks run
    <!-- not run: it needs a login -->          and why
"""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

_MARK = r"(?:^<!-- *(?P<mark>(?:(?!-->).)*?) *-->\n+)?"
_FENCE = re.compile(_MARK + r"^```(?P<language>\w*)[^\n]*\n(?P<body>.*?)^```$", re.M | re.S)
_BACKGROUND = re.compile(r'run in background until "(.+)"')


@dataclass(frozen=True)
class Block:
    line: int
    mark: str
    """What its line says; empty when there is none."""
    script: str

    @property
    def is_run(self) -> bool:
        return self.mark == "run" or self.ready_text is not None

    @property
    def ready_text(self) -> str | None:
        found = _BACKGROUND.fullmatch(self.mark)
        return found[1] if found else None

    @property
    def is_explained(self) -> bool:
        return self.is_run or bool(re.fullmatch(r"not run: \S.{9,}", self.mark))


def shell_blocks(page: str) -> list[Block]:
    return [
        Block(page.count("\n", 0, found.start("body")), found["mark"] or "", found["body"])
        for found in _FENCE.finditer(page)
        if found["language"] == "sh"
    ]


@dataclass(frozen=True)
class Reader:
    """Somebody who follows the page, in a place of their own."""

    directory: Path
    env: Mapping[str, str]
    limit_s: float = 60.0

    def follow(self, page: str) -> list[str]:
        """Runs the blocks in order; returns what each one printed. Raises: AssertionError at the first that fails."""
        with ExitStack() as background:
            return [self._carry_out(block, background) for block in shell_blocks(page) if block.is_run]

    def _carry_out(self, block: Block, background: ExitStack) -> str:
        log = self.directory / f"block-at-line-{block.line}.log"
        process = background.enter_context(self._started(block.script, log))
        if block.ready_text is None:
            code = process.wait(self.limit_s)
            assert code == 0, f"the block at line {block.line} ended with {code}:\n{block.script}\n{log.read_text()}"
        else:
            self._await(process, log, block)
        return log.read_text()

    def _await(self, process: subprocess.Popen[bytes], log: Path, block: Block) -> None:
        deadline = time.monotonic() + self.limit_s
        while (block.ready_text or "") not in log.read_text():
            assert process.poll() is None, f"the block at line {block.line} ended early:\n{log.read_text()}"
            assert time.monotonic() < deadline, f"the block at line {block.line} is not ready:\n{log.read_text()}"
            time.sleep(0.05)

    @contextmanager
    def _started(self, script: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["sh", "-eu", "-c", script],
                cwd=self.directory,
                env=dict(self.env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait(self.limit_s)
