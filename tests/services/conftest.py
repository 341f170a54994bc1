from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services.machine import Machine, missing


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """`make test-services` wants it, and fails where it cannot be had."""
    wanted, reason = os.environ.get("CCM_TEST_SERVICES"), missing()
    if not wanted:
        pytest.skip("boots a machine: `make test-services`")
    if reason:
        pytest.fail(f"No machine can be booted here: {reason}.")
    with tempfile.TemporaryDirectory(prefix="ccm-machine-") as directory, Machine(Path(directory)) as booted:
        yield booted
