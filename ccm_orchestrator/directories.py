"""Directories for one user alone."""

from __future__ import annotations

from pathlib import Path


def make_directory(directory: Path) -> None:
    """With what is missing above it, all of it closed to others whatever the umask is: `mkdir` gives the mode to the
    last one only, and who may write above it can put something else in its place. Raises: OSError."""
    for missing in reversed([path for path in (directory, *directory.parents) if not path.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)
    directory.mkdir(exist_ok=True)  # a file in its place is an error
