"""Which key this is, and whether the gateway is there."""

from __future__ import annotations

import attrs
from litestar import get

from plexus.gateway.rest.caller import ANY_KEY, PUBLIC, Asking
from plexus.gateway.rest.faults import REFUSALS


@attrs.frozen
class KeyAnswer:
    """What a key is. `source_id`: the only source it is for, null for all of the organisation."""

    org_id: str
    scopes: list[str]
    source_id: str | None


@attrs.frozen
class Health:
    """The gateway answers."""

    status: str


@get("/api/auth/verify-key", opt=ANY_KEY, responses={401: REFUSALS[401]})
async def verify_key(caller: Asking) -> KeyAnswer:
    """The organisation and the scopes of the key."""
    return KeyAnswer(caller.org, sorted(caller.key.scopes), caller.key.source_id)


@get("/healthz", opt=PUBLIC, security=[{}])
async def healthz() -> Health:
    """Whether the gateway is there; needs no key."""
    return Health("ok")
