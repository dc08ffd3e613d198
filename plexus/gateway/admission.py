"""Whether a device may come in, and under which name: the questions that `/ws/device` asks of a `device_auth`."""

from __future__ import annotations

import asyncio

import attrs

from plexus.domain.errors import StoreError
from plexus.domain.names import is_gateway_source_id
from plexus.gateway import claims
from plexus.gateway.access import identify, require
from plexus.gateway.asgi import HttpError
from plexus.gateway.core import Core
from plexus.gateway.quotas import SOURCE_LIMIT
from plexus.ports.keyring import KeyInfo
from plexus.protocol.frames import UNAVAILABLE, DeviceAuth
from plexus.protocol.gateway import CLOSE_POLICY, CLOSE_TRY_LATER

INVALID_KEY = "invalid_api_key"
INVALID_SOURCE = "invalid_source_id"
NOT_PERMITTED = "not_permitted"


@attrs.frozen
class Admitted:
    """Let it in."""

    key: KeyInfo
    source_id: str


@attrs.frozen
class Rejected:
    """Do not: the error frame and the close code that say why."""

    code: str
    detail: str
    close_code: int = CLOSE_POLICY


async def admit(core: Core, auth: DeviceAuth) -> Admitted | Rejected:
    """Decide about a device. The name is claimed last, so that nobody who is refused leaves a trace."""
    trouble = "the gateway is shutting down" if core.sockets.closing else core.committer.trouble()
    if trouble is not None:
        return _later("the gateway cannot take data just now; try again")
    if not is_gateway_source_id(auth.source_id):
        return Rejected(INVALID_SOURCE, "source_id is not a valid name: lower-case letters, digits, '.', '_', '-'")
    try:
        key = identify(core.keyring, auth.api_key)
        name = await _name(core, key, auth)
        # Once more: the key may have been revoked meanwhile.
        key = identify(core.keyring, auth.api_key)
        require(key, "write", name)
    except HttpError as exc:
        return _rejected(exc)
    except StoreError:
        return _later("the gateway cannot read or keep names just now; try again")
    if (key.org, name) in core.moving.places:
        return _later(f"the source {name} is being renamed or deleted just now; try again")
    return Admitted(key, name)


async def _name(core: Core, key: KeyInfo, auth: DeviceAuth) -> str:
    """The name of a device that is let in; HttpError 403 unless its key may write as what it declares.

    A key that is for one source is the proof of its name: whatever the install id, a re-imaged device too, it is that
    source and never another one. It may also declare what the source was called when the device was last here.
    """
    require(key, "write")
    if key.source_id is None:
        return await claims.claim(core, key.org, auth.source_id, auth.install_id)
    if auth.source_id == key.source_id:
        await claims.prove(core, key.org, auth.source_id, auth.install_id)
        return auth.source_id
    given = await asyncio.to_thread(core.registry.given, key.org, auth.source_id, auth.install_id)
    require(key, "write", auth.source_id if given is None else given)
    await core.intake.quotas.learn(key.org)
    return key.source_id


def _rejected(exc: HttpError) -> Rejected:
    if exc.status == 503:
        return _later(exc.message)
    if isinstance(exc, claims.SourceLimitError):
        return Rejected(SOURCE_LIMIT, exc.message)
    # "invalid API key" is what released clients print; the other refusals say what the key lacks.
    return Rejected(INVALID_KEY, "invalid API key") if exc.status == 401 else Rejected(NOT_PERMITTED, exc.message)


def _later(detail: str) -> Rejected:
    return Rejected(UNAVAILABLE, detail, CLOSE_TRY_LATER)
