"""What a project's own files would do, as the API tells it."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from ccm_orchestrator.api.schemas import Input, Output, Word
from ccm_orchestrator.engine.trust import Approval, TrustReport


class TrustInput(Input):
    fingerprint: Word = Field(description="Of what was shown by `GET /api/projects/{name}/trust`.")


class FindingOutput(Output):
    directory: Path = Field(description="The project's, or the own one of a standing agent that works for it.")
    file: str
    digest: str
    effects: list[str] = Field(description="What it would do, one line each.")
    approved: bool


class TrustOutput(Output):
    project: str
    path: Path
    approved: bool = Field(description="Nothing waits for approval: agents are started here.")
    fingerprint: str
    findings: list[FindingOutput]
    released: list[str] = Field(description="Ids of the tasks that waited for this approval.")
    untold: list[str] = Field(description="Task stores that could not be asked for such tasks.")

    @classmethod
    def of(cls, report: TrustReport, approval: Approval | None = None) -> TrustOutput:
        findings = [
            FindingOutput(
                directory=finding.directory,
                file=finding.risk.file,
                digest=finding.risk.digest,
                effects=list(finding.risk.effects),
                approved=finding.approved,
            )
            for finding in report.findings
        ]
        return cls(
            project=report.project.name,
            path=report.project.path,
            approved=report.approved,
            fingerprint=report.fingerprint,
            findings=findings,
            released=list(approval.released) if approval else [],
            untold=list(approval.untold) if approval else [],
        )
