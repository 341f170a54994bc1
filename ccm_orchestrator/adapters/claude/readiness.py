"""Whether an agent can be started here: found, of a release that we know, logged in, and sure not to ask at start."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from pathlib import Path

from ccm_orchestrator.adapters.claude.environment import has_credentials, inherited
from ccm_orchestrator.adapters.claude.executable import ask, find_executable
from ccm_orchestrator.adapters.claude.paths import config_paths
from ccm_orchestrator.adapters.claude.trust import answer_ahead
from ccm_orchestrator.adapters.claude.versions import Version, caution, parse_version, require_supported
from ccm_orchestrator.domain.run import Mode
from ccm_orchestrator.errors import DriverError, InvalidProject, NotLoggedIn
from ccm_orchestrator.ports.agents import DriverHealth, LaunchOrder

Projects = Callable[[], Awaitable[Collection[Path]]]
"""The directories of all registered projects."""

LOGIN_REMEMBERED_S = 300.0
_Signature = tuple[Path, int, int]


class Readiness:
    """Asks the executable once per installed file, and for a stored login once in a while."""

    def __init__(self, executable: str | Path, environment: Mapping[str, str], projects: Projects) -> None:
        self._executable = executable
        self._environment = environment
        self._projects = projects
        self._known: tuple[_Signature, Version] | None = None
        self._logged_in_until: dict[Path, float] = {}
        """By configuration directory, on the event loop's clock."""
        self._asking = asyncio.Lock()
        self._answering = asyncio.Lock()

    async def health(self) -> DriverHealth:
        """`detail` warns of an untested release or a missing login even when agents can be started."""
        path: Path | None = None
        version = ""
        try:
            path = find_executable(self._executable, self._environment)
            version = str(found := await self._version(path))
            require_supported(found)
            warning = caution(found)
            await self._require_login(path, inherited(self._environment))
        except NotLoggedIn as error:
            return DriverHealth(True, path, version, error.message)
        except DriverError as error:
            return DriverHealth(False, path, version, error.message)
        return DriverHealth(True, path, version, warning)

    async def require(self, order: LaunchOrder, env: Mapping[str, str]) -> tuple[Path, Version]:
        """The executable and its release, with the user's `.claude.json` prepared for this agent.

        Raises: AgentMissing, AgentUnsupported, NotLoggedIn, InvalidProject, DriverError.
        """
        path = find_executable(self._executable, env)
        version = await self._version(path)
        require_supported(version)
        await self._require_login(path, env)
        await self._require_project(order.run.cwd)
        if order.run.mode is Mode.INTERACTIVE:
            state_file = config_paths(env).state_file
            async with self._answering:
                await asyncio.to_thread(answer_ahead, state_file, order.run.cwd, env.get("ANTHROPIC_API_KEY"))
        return path, version

    async def _version(self, path: Path) -> Version:
        async with self._asking:
            signature = _signature(path)
            if self._known is None or self._known[0] != signature:
                answer = await ask(path, "--version", env=inherited(self._environment))
                self._known = (signature, parse_version(answer.stdout))
            return self._known[1]

    async def _require_login(self, path: Path, env: Mapping[str, str]) -> None:
        if has_credentials(env):
            return
        now = asyncio.get_running_loop().time()
        directory = config_paths(env).directory
        if now < self._logged_in_until.get(directory, 0.0):
            return
        if (await ask(path, "auth", "status", env=env)).exit_code != 0:
            raise NotLoggedIn()
        self._logged_in_until[directory] = now + LOGIN_REMEMBERED_S

    async def _require_project(self, cwd: Path) -> None:
        """A directory is trusted because its user registered it, never because a task names it."""
        if not cwd.is_dir():
            raise InvalidProject(f"The project's directory {cwd} is gone; restore it, or register the project anew.")
        registered = {path.resolve() for path in await self._projects()}
        if cwd.resolve() not in registered:
            raise InvalidProject(
                f"The directory {cwd} is not a registered project; run `ccm-orchestrator project add {cwd}`."
            )


def _signature(path: Path) -> _Signature:
    """Changes when the executable is updated in place, or its link moved."""
    target = path.resolve()
    try:
        info = target.stat()
    except OSError:
        return target, 0, 0
    return target, info.st_mtime_ns, info.st_size
