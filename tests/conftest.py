"""Fixtures that are shared live in modules of their own; this only registers them."""

pytest_plugins = ["tests.claude", "tests.properties", "tests.stores", "tests.terminals", "tests.launching"]
