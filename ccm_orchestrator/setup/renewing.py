"""The service's files under an update: the next version writes its own, where nobody changed them; and the way back."""

from __future__ import annotations

from pathlib import Path

from ccm_orchestrator.setup.calls import run
from ccm_orchestrator.setup.services import ServiceManager


class FormerFiles:
    """As they are before the update."""

    def __init__(self, manager: ServiceManager) -> None:
        self._manager = manager
        self._renewal = manager.renewal()
        self._texts = {Path(name): Path(name).read_bytes() for name in manager.status().files}

    def renew(self, command: Path) -> str | None:
        """What `command` did, for people; None: nothing differs. Raises: OrchestratorError."""
        if self._renewal is None:
            return "The service's files were changed by hand and stay so: see `ccm-orchestrator doctor --only service`."
        done = run([str(command), *self._renewal.arguments], self._renewal.variables)
        if done.returncode:
            return f"The service's files stay as they were: {done.stderr.strip() or done.stdout.strip()}"
        differing = self._differing()
        return f"It wrote the service's files anew: {', '.join(map(str, differing))}." if differing else None

    def put_back(self) -> None:
        if differing := self._differing():
            self._manager.put_back({file: self._texts[file] for file in differing})

    def _differing(self) -> list[Path]:
        return [file for file, text in self._texts.items() if not file.exists() or file.read_bytes() != text]
