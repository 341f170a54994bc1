"""What machines are made of, built once and kept in `.cache/services`: Debian's own packages, an index of packages for
`apt`, and wheels for `pip`."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
CACHE = CHECKOUT / ".cache" / "services"
BOOTS = "systemd,systemd-sysv,dbus,libpam-systemd"
"""What makes Debian's smallest root file system a machine that boots and that people log in to."""
NEEDED = "python3,tmux,procps,git,ca-certificates"
"""What a machine needs that runs the command out of this checkout."""
INSTALLED = "tmux git python3 python3-venv"
"""What `install.sh` gets from Debian."""
PIP = "[global]\nno-index = true\nfind-links = /srv/wheels\n[install]\ncompile = false\n"
BUILD_S = 600.0
BUILD_TOOLS = ("pip", "setuptools", "wheel", "hatchling")
"""What pip fetches beside what we depend on: `venv --upgrade-deps`, and building a checkout."""
SHIPPED = (
    "ccm_orchestrator",
    "hooks",
    "systemd",
    "launchd",
    "man",
    "completions",
    "pyproject.toml",
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    "install.sh",
)  # fmt: skip


def ready_machine() -> Path:
    """A root file system that can run this checkout."""
    base = CACHE / "debian-12"
    if not base.exists():
        _bootstrap(base, f"{BOOTS},{NEEDED}")
    return base


def bare_machine() -> Path:
    """A root file system of somebody who has just installed Debian; in `/srv/debs` what `apt` will be asked for."""
    base = CACHE / "debian-12-bare"
    if not base.exists():
        fetch = f'APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get install -y -d --no-install-recommends {INSTALLED}'
        keep = 'mkdir "$1/srv/debs" && mv "$1"/var/cache/apt/archives/*.deb "$1/srv/debs/"'
        _bootstrap(base, f"{BOOTS},sudo", f"--customize-hook={fetch} && {keep}")
        _index(base / "srv" / "debs")
        (base / "etc/apt/sources.list").write_text("deb [trusted=yes] file:/srv/debs ./\n")
        (base / "etc/pip.conf").write_text(PIP)
    return base


def wheelhouse() -> Path:
    """Everything that installing this package takes from an index, without the package."""
    stated = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    asked = [
        *stated["project"]["dependencies"],
        *stated["build-system"]["requires"],
        *BUILD_TOOLS,
        *sys.version_info[:2],
    ]
    house = CACHE / f"wheels-{hashlib.sha256(repr(asked).encode()).hexdigest()[:12]}"
    if not house.exists():
        house.parent.mkdir(parents=True, exist_ok=True)
        unfinished = house.with_suffix(".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        _pip_wheel(unfinished, str(CHECKOUT), *BUILD_TOOLS)
        for own in unfinished.glob("ccm_orchestrator-*.whl"):
            own.unlink()
        unfinished.rename(house)
    return house


def source_copy(target: Path) -> Path:
    """This tree as somebody gets it: no `.git`, no environment, no caches."""
    target.mkdir()
    for name in SHIPPED:
        source = CHECKOUT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target / name)
    return target


def build_wheel(source: Path, target: Path) -> Path:
    before = set(target.glob("*.whl"))
    _pip_wheel(target, "--no-deps", "--no-build-isolation", str(source))
    (wheel,) = set(target.glob("*.whl")) - before
    return wheel


def _pip_wheel(target: Path, *arguments: str) -> None:
    _run([sys.executable, "-m", "pip", "wheel", "--quiet", "--wheel-dir", str(target), *arguments])


def _bootstrap(base: Path, packages: str, *more: str) -> None:
    base.parent.mkdir(parents=True, exist_ok=True)
    unfinished = base.with_suffix(".new")
    shutil.rmtree(unfinished, ignore_errors=True)
    _run(["mmdebstrap", "--variant=minbase", f"--include={packages}", *more, "bookworm", str(unfinished)])
    unfinished.rename(base)


def _index(directory: Path) -> None:
    """`Packages`, as apt reads it from a directory."""
    entries = []
    for file in sorted(directory.glob("*.deb")):
        control = _run(["dpkg-deb", "--field", str(file)]).strip()
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        entries.append(f"{control}\nFilename: ./{file.name}\nSize: {file.stat().st_size}\nSHA256: {digest}\n")
    (directory / "Packages").write_text("\n".join(entries))


def _run(argv: list[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=BUILD_S)
    assert done.returncode == 0, f"{' '.join(argv)}: {done.stderr[-2000:]}"
    return done.stdout
