"""What people have approved of the files of projects."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Protocol

from ccm_orchestrator.domain.trust import Risk


class TrustStore(Protocol):
    """Approvals belong to a project in its directory: another directory under the same name has none.

    Every operation raises: StoreError.
    """

    async def approved(self, project: str, directory: Path) -> frozenset[tuple[str, str]]:
        """Keys of risks."""

    async def approve(self, project: str, directory: Path, risks: Iterable[Risk], by: str, at: datetime) -> None:
        """These, and no longer what was approved before."""

    async def forget(self, project: str) -> None: ...
