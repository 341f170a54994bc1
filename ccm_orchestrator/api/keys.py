"""/api/keys: the API keys of this machine; /api/users: who is signed in elsewhere."""

from __future__ import annotations

from datetime import datetime, timedelta

from fastapi import APIRouter, Response
from pydantic import AwareDatetime, Field

from ccm_orchestrator.api.guards import Asker, TokenRoute, needs
from ccm_orchestrator.api.injection import Services
from ccm_orchestrator.api.schemas import Input, Output, Word
from ccm_orchestrator.domain.caller import Scope
from ccm_orchestrator.domain.keys import MAX_NAME_CHARACTERS, ApiKey
from ccm_orchestrator.security.secrets import Secret

router = APIRouter(prefix="/api", tags=["keys"], route_class=TokenRoute)

DAY_S = 86_400.0
LONGEST_OVERLAP_S = 90 * DAY_S


class KeyInput(Input):
    name: str = Field(max_length=MAX_NAME_CHARACTERS, description="What it is for, such as `build server`.")
    scopes: list[Scope] = Field(min_length=1, max_length=5)
    owner: Word | None = Field(
        default=None, description="The user that it acts for and sees alone; None: it sees everything on this machine."
    )
    expires_at: AwareDatetime | None = Field(default=None, description="None: it works until it is revoked.")


class RotateInput(Input):
    overlap_s: float = Field(
        DAY_S, ge=0, le=LONGEST_OVERLAP_S, description="For so many seconds the old key works beside the new one."
    )


class KeyOutput(Output):
    key_id: str
    name: str
    prefix: str = Field(description="The part of the key that may be shown.")
    scopes: list[Scope]
    owner: str | None
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    last_used_at: datetime | None = Field(description="To the minute.")
    revoked_at: datetime | None
    works: bool

    @classmethod
    def of(cls, key: ApiKey, works: bool) -> KeyOutput:
        names = set(cls.model_fields) - {"scopes", "works"}
        return cls(**{name: getattr(key, name) for name in names}, scopes=sorted(key.scopes), works=works)


class NewKeyOutput(KeyOutput):
    key: str = Field(description="The key itself. It is shown this once and kept nowhere.")

    @classmethod
    def made(cls, key: ApiKey, secret: Secret) -> NewKeyOutput:
        return cls(**KeyOutput.of(key, works=True).model_dump(), key=secret.reveal())


@router.get("/keys")
@needs(Scope.ADMIN)
async def list_keys(services: Services) -> list[KeyOutput]:
    """Newest first, with those that expired or were revoked."""
    return [KeyOutput.of(key, services.keys.works(key)) for key in await services.keys.keys()]


@router.post("/keys", status_code=201)
@needs(Scope.ADMIN)
async def create_key(services: Services, caller: Asker, body: KeyInput) -> NewKeyOutput:
    made = await services.keys.create(caller, body.name, frozenset(body.scopes), body.owner, body.expires_at)
    return NewKeyOutput.made(*made)


@router.post("/keys/{key}/rotate", status_code=201)
@needs(Scope.ADMIN)
async def rotate_key(services: Services, caller: Asker, key: str, body: RotateInput) -> NewKeyOutput:
    """A new key with the name, scopes, owner and lifetime of the old one, by id, prefix or name."""
    return NewKeyOutput.made(*await services.keys.rotate(caller, key, timedelta(seconds=body.overlap_s)))


@router.delete("/keys/{key}", status_code=204)
@needs(Scope.ADMIN)
async def revoke_key(services: Services, key: str) -> Response:
    """By id, prefix or name. It works no more from this moment, and cannot be brought back."""
    await services.keys.revoke(key)
    return Response(status_code=204)


@router.post("/users/flush-keys", status_code=204)
@needs(Scope.ADMIN)
async def flush_user_keys(services: Services) -> Response:
    """Forget the project's public keys: the next user's token makes the daemon ask for them anew."""
    if services.identity.users is not None:
        services.identity.users.flush()
    return Response(status_code=204)
