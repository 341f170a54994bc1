"""The machine, what is registered on it, and the other machines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ccm_orchestrator.client.answers import Health, Profile, Project, ProjectTrust, Status, System
from ccm_orchestrator.client.call import Call, delete, get, many, nothing, one, post
from ccm_orchestrator.client.paths import path


def health() -> Call[Health]:
    """Whether the daemon lives and does its work; asks for no token."""
    return replace(get("/health", one(Health)), also=frozenset({503}))


def status() -> Call[Status]:
    """How the daemon and its queue are."""
    return get("/api/status", one(Status))


def projects() -> Call[tuple[Project, ...]]:
    return get("/api/projects", many(Project))


def add_project(directory: Path | str, *, name: str | None = None, profile: str | None = None) -> Call[Project]:
    """Registers a directory of the daemon's machine, in which agents may work then. Raises: InvalidProject."""
    body = {"path": str(directory), "name": name, "profile": profile}
    return replace(post("/api/projects", one(Project), body), repeatable=True)


def remove_project(name: str) -> Call[None]:
    """Nothing in the directory is touched. Raises: NotFound, WrongStatus (unfinished tasks name it)."""
    return delete(path("/api/projects/{}", name))


def project_trust(name: str) -> Call[ProjectTrust]:
    """What the project's own files would make agents do, and whether it is approved. Raises: NotFound."""
    return get(path("/api/projects/{}/trust", name), one(ProjectTrust))


def trust_project(name: str, fingerprint: str) -> Call[ProjectTrust]:
    """Approves exactly what `project_trust` has shown, and releases the tasks that waited for it.

    Raises: NotFound; WrongStatus when the files have changed since.
    """
    call = post(path("/api/projects/{}/trust", name), one(ProjectTrust), {"fingerprint": fingerprint})
    return replace(call, repeatable=True)


def profiles() -> Call[tuple[Profile, ...]]:
    return get("/api/profiles", many(Profile))


def systems(*, store: str | None = None) -> Call[tuple[System, ...]]:
    """The machines that run the daemon, as one task store knows them."""
    return get("/api/systems", many(System), store=store)


def drain(system_id: str, *, draining: bool = True) -> Call[None]:
    """It claims nothing new until this is taken back; what it has, it finishes. Raises: NotFound."""
    call = post(path("/api/systems/{}/drain", system_id), nothing, {"draining": draining})
    return replace(call, repeatable=True)
