"""Fixtures that are shared live in modules of their own; this only registers them."""

import pytest

pytest_plugins = [
    "tests.claude",
    "tests.properties",
    "tests.stores",
    "tests.supabase_stack",
    "tests.realtime",
    "tests.terminals",
    "tests.launching",
]

REAL_PARTS = (
    "tests/acceptance/",
    "tests/integration/",
    "tests/conformance/",
    "tests/packages/",
    "tests/unit/supabase/",
    "tests/unit/setup/",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Real processes on a machine that others use, too: a failure there is looked at twice, and both are reported."""
    for item in items:
        if item.nodeid.startswith(REAL_PARTS):
            item.add_marker(pytest.mark.flaky(reruns=1))
