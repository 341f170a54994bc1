"""Wheels of this checkout, also as other versions of it, and environments to install them into; no internet."""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sys
import venv
from collections.abc import Mapping
from pathlib import Path

from ccm_orchestrator import __version__
from tests.docs.source import CHECKOUT

_NOT_PACKAGED = shutil.ignore_patterns(
    ".*", "__pycache__", "build", "dist", "tests", "benchmarks", "*.egg-info", "*.pyc"
)
BUILD_S = 60


def build_wheel(place: Path, version: str = __version__, changes: Mapping[str, tuple[str, str]] | None = None) -> Path:
    """`changes`: file → what stands there, and what is to; an empty first text makes a new file."""
    source = place / f"source-{version}"
    shutil.copytree(CHECKOUT, source, ignore=_NOT_PACKAGED)
    given = {"ccm_orchestrator/__init__.py": (f'"{__version__}"', f'"{version}"')} | dict(changes or {})
    for name, (old, new) in given.items():
        text = (source / name).read_text() if old else ""
        assert old in text, f"{name} has no {old}"
        (source / name).write_text(text.replace(old, new) if old else new)
    built = build(source, place, "wheel")
    shutil.rmtree(source)
    return built


def build(source: Path, place: Path, target: str) -> Path:
    """`target`: `wheel` or `sdist`."""
    argv = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(place)]
    done = subprocess.run(argv, cwd=source, capture_output=True, text=True, timeout=BUILD_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = [line for line in done.stdout.split() + done.stderr.split() if line.endswith((".whl", ".tar.gz"))]
    return place / Path(found).name


def make_environment(place: Path) -> Path:
    """An environment to install into, which sees the packages (and pip) of this one."""
    venv.create(place, with_pip=False, symlinks=True)
    (own,) = place.glob("lib/python*/site-packages")
    (own / "shared.pth").write_text("\n".join(path for path in site.getsitepackages() if Path(path).exists()))
    return place


def offline(directory: Path) -> Mapping[str, str]:
    """What makes pip look for packages in `directory` alone."""
    return {"PIP_NO_INDEX": "1", "PIP_NO_COMPILE": "1", "PIP_FIND_LINKS": str(directory), "PIP_CONFIG_FILE": os.devnull}
