"""Directories that are ours alone, wherever the configuration puts them: another user may have been there first."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ccm_orchestrator.directories import make_directory
from ccm_orchestrator.errors import InvalidSettings


def make_private(directory: Path) -> None:
    """Makes it and what is missing above it, and closes it to others.

    Raises: InvalidSettings, having written nothing, when another user could have put links in the place of our files.
    """
    try:
        make_directory(directory)
        foreign = anothers(directory)
        if foreign is None and stat.S_IMODE(directory.stat().st_mode) & 0o777 != 0o700:
            directory.chmod(0o700)
    except OSError as error:
        raise InvalidSettings(f"The state directory {directory} cannot be used: {error.strerror}.") from error
    if foreign is not None:
        raise InvalidSettings(
            f"The state directory {directory} cannot be trusted, for {foreign} belongs to another user: look at it, "
            "then take it over with `chown -R`, or set `state_directory` to another one."
        )


def anothers(directory: Path) -> Path | None:
    """The directory, where it leads to, or what lies in it, if that is neither ours nor root's. Raises: OSError."""
    places = (directory, directory.resolve(), *directory.iterdir())
    return next((path for path in places if path.lstat().st_uid not in (os.geteuid(), 0)), None)
