"""Writing the configuration file: never a half one, never one that could not be read again."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from ccm_orchestrator.directories import make_directory
from ccm_orchestrator.errors import InvalidSettings
from ccm_orchestrator.settings.sources import Layer, read_toml, validated


def write_config(path: Path, document: str) -> None:
    """Raises: InvalidSettings, with the file as it was before."""
    with tempfile.TemporaryDirectory() as directory:
        draft = Path(directory, "config.toml")
        draft.write_text(document, encoding="utf-8")
        validated([Layer(str(path), read_toml(draft))])
    write_private(path, document)


def write_private(path: Path, content: str) -> None:
    """Whole or not at all, readable by its owner only: it may hold secrets. Raises: InvalidSettings."""
    target = path.resolve()
    try:
        make_directory(target.parent)
        with tempfile.NamedTemporaryFile("w", dir=target.parent, encoding="utf-8", delete=False) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).replace(target)
    except OSError as error:
        raise InvalidSettings(f"The file {path} cannot be written: {error.strerror}.") from error
