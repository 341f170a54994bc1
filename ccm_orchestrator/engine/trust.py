"""Whether a person has approved what a project's own files make agents do there."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ccm_orchestrator.domain import refusals
from ccm_orchestrator.domain.task import TaskStatus
from ccm_orchestrator.domain.trust import Risk, fingerprint, merged, refusal, unapproved, waits_for_trust
from ccm_orchestrator.engine.control import Control
from ccm_orchestrator.engine.queues import Queues
from ccm_orchestrator.errors import StoreError, WrongStatus
from ccm_orchestrator.ports.agents import AgentDriver
from ccm_orchestrator.ports.standing import StandingStore
from ccm_orchestrator.ports.tasks import Project, TaskQuery
from ccm_orchestrator.ports.trust import TrustStore
from ccm_orchestrator.ports.world import Clock

PAGE = 500


async def risks_in(drivers: Mapping[str, AgentDriver], directory: Path) -> tuple[Risk, ...]:
    """For whatever agent may be started there."""
    return merged(*await asyncio.gather(*(driver.risks(directory) for driver in drivers.values())))


@dataclass(frozen=True, slots=True)
class Finding:
    directory: Path
    """The project's, or the own one of a standing agent that works for it."""
    risk: Risk
    approved: bool


@dataclass(frozen=True, slots=True)
class TrustReport:
    project: Project
    findings: Sequence[Finding]

    @property
    def fingerprint(self) -> str:
        return fingerprint(finding.risk for finding in self.findings)

    @property
    def approved(self) -> bool:
        return all(finding.approved for finding in self.findings)


@dataclass(frozen=True, slots=True)
class Approval:
    report: TrustReport
    released: Sequence[str]
    """Ids of the tasks that waited for it."""
    untold: Sequence[str]
    """Task stores that did not answer: what waits there is released by hand."""


class ProjectTrust:
    """Safe to use from any event loop of the process."""

    def __init__(
        self,
        store: TrustStore,
        drivers: Mapping[str, AgentDriver],
        standing: StandingStore,
        queues: Queues,
        control: Control,
        clock: Clock,
    ) -> None:
        self._store = store
        self._drivers = drivers
        self._standing = standing
        self._queues = queues
        self._control = control
        self._clock = clock

    async def report(self, name: str) -> TrustReport:
        """As the files are now. Raises: NotFound."""
        project = await self._project(name)
        approved = await self._store.approved(project.name, project.path)
        findings = [
            Finding(directory, risk, not unapproved([risk], approved))
            for directory in await self._directories(project)
            for risk in await risks_in(self._drivers, directory)
        ]
        return TrustReport(project, tuple(findings))

    async def approve(self, name: str, seen: str, by: str) -> Approval:
        """`seen`: the fingerprint of what the person was shown. What waited for it is released.

        Raises: NotFound; WrongStatus when the files have changed since, or are too much to be looked at.
        """
        report = await self.report(name)
        if report.fingerprint != seen:
            raise WrongStatus(
                f"The files of project {name!r} are not as they were shown: look at them again with "
                f"`ccm-orchestrator project show {name}`.",
                fingerprint=report.fingerprint,
            )
        project, risks = report.project, [finding.risk for finding in report.findings]
        if (reason := refusal(risks)) is not None:
            raise WrongStatus(reason, fingerprint=report.fingerprint)
        await self._store.approve(project.name, project.path, risks, by, self._clock.now())
        released, untold = await self._release(project.name)
        return Approval(await self.report(name), released, untold)

    async def forget(self, name: str) -> None:
        """With the project."""
        await self._store.forget(name)

    async def _release(self, project: str) -> tuple[list[str], list[str]]:
        released, untold = list[str](), list[str]()
        query = TaskQuery(statuses=frozenset({TaskStatus.HELD}), project=project, limit=PAGE)
        for queue in self._queues:
            try:
                waiting = [task for task in await queue.store.list(query) if waits_for_trust(task)]
                released += [(await self._control.release_task(task.task_id)).task_id for task in waiting]
            except StoreError:
                untold.append(queue.name)
        return released, [*untold, *self._queues.out_of_reach]

    async def _project(self, name: str) -> Project:
        for project in await self._queues.local.projects():
            if project.name == name:
                return project
        raise refusals.project_not_found(name)

    async def _directories(self, project: Project) -> list[Path]:
        agents = await self._standing.agents()
        own = (agent.directory for agent in agents if agent.project == project.name and agent.directory is not None)
        return list(dict.fromkeys([project.path, *own]))
