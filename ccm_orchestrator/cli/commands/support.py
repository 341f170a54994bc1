"""`support bundle`"""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from ccm_orchestrator.cli.lazily import Heavy, load
from ccm_orchestrator.cli.session import Session, command
from ccm_orchestrator.cli.views.support import bundle_report


def add_to(group: typer.Typer) -> None:
    command(group, "bundle")(bundle)


async def bundle(
    session: Session,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="The archive; default: here, with the time.")
    ] = None,
    with_texts: Annotated[
        bool, typer.Option("--with-texts", help="Also prompts, results and events as they are; secrets stay masked.")
    ] = False,
) -> None:
    """Write an archive for whoever is to help: versions, configuration, doctor, logs, numbers. Secrets are masked, and
    prompts and results are left out. It works without a daemon."""
    made: Any = await load(Heavy.MAKE_BUNDLE)(session.config, os.environ, output, with_texts)
    session.show(asdict(made) | {"path": str(made.path)}, lambda: bundle_report(made), ids=str(made.path))
