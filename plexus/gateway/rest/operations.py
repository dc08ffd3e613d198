"""For whoever runs the gateway: is it ready, what does it measure, and a copy of everything."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Annotated

import anyio.to_thread
import attrs
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import QueryParameter, SkipValidation
from prometheus_client import CONTENT_TYPE_LATEST

from plexus.domain.errors import QueryError
from plexus.gateway import backup, health
from plexus.gateway.access import require_operator
from plexus.gateway.asgi import HttpError
from plexus.gateway.core import Core
from plexus.gateway.rest.caller import ANY_KEY, PUBLIC, Asking
from plexus.gateway.rest.download import Download, Sending
from plexus.gateway.rest.faults import REFUSALS
from plexus.gateway.wellknown import DEFAULT_ORG
from plexus.ports.audit import AuditEntry
from plexus.ports.keyring import KeyInfo
from plexus.ports.store import Question

TAR, PACKED = "application/x-tar", "application/zstd"

Whole = NamedDependency[SkipValidation[Core]]
"""The type of a handler's `core`, where nobody asks with a key."""

Packed = Annotated[
    str | None,
    QueryParameter(description="1: packed with zstd.", schema_extra={"enum": ["0", "1"]}),
]


@attrs.frozen
class Ready:
    """The gateway takes data."""

    status: str


@get("/readyz", opt=PUBLIC, security=[{}], responses={503: REFUSALS[503]})
async def readyz(core: Whole) -> Response[Ready]:
    """Whether data is taken now: 503 with the reason while the store refuses it, or the gateway shuts down."""
    reason = await anyio.to_thread.run_sync(health.unready, core)
    if reason is not None:
        raise HttpError(503, reason, [(b"retry-after", b"1")])
    return Response(Ready("ready"))


@get("/metrics", opt=ANY_KEY, security=[{}, {"ApiKey": []}], responses={401: REFUSALS[401], 403: REFUSALS[403]})
async def metrics(caller: Asking) -> Response[bytes]:
    """What the gateway measures of itself, as Prometheus's text.

    Needs a key of the gateway's own organisation with read or admin that is not limited to a source; none from this
    machine itself, while no proxy stands in front.
    """
    _require_watcher(caller.key)
    # In no line of the requests': what they wait for is to be seen here.
    text = await anyio.to_thread.run_sync(health.exposition, caller.core)
    return Response(text, headers={"content-type": CONTENT_TYPE_LATEST})


@post("/v1/admin/backup", opt=ANY_KEY, status_code=200, responses=REFUSALS)
async def take_backup(caller: Asking, zstd: Packed = None) -> Response[bytes]:
    """A backup of the whole gateway as a tar, made while it runs; `plexus gateway restore` puts it back."""
    require_operator(caller.key)
    if zstd not in (None, "0", "1"):
        raise QueryError("zstd must be 0 or 1")
    packed, core = zstd == "1", caller.core
    now_ms = core.wall_ns() / 1e6
    entry = AuditEntry(now_ms, caller.org, caller.key.key_id, "gateway.backup", "gateway", {"zstd": packed})
    await caller.ask(core.audit.record, entry)
    made = datetime.fromtimestamp(now_ms / 1000.0, timezone.utc).strftime("%Y%m%d-%H%M%SZ")
    parts = backup.parts(core.keepers, core.data_dir, now_ms, zstd=packed)
    sending = Sending(caller.exports, caller.org, parts, Question())
    return Download(sending, PACKED if packed else TAR, f"plexus-{made}.tar{'.zst' if packed else ''}")


def _require_watcher(key: KeyInfo) -> None:
    own = key.org == DEFAULT_ORG and key.source_id is None
    if not own or not (key.allows("read") or key.allows("admin")):
        raise HttpError(
            403, f"this needs a key of the organisation {DEFAULT_ORG} with read or admin, for all of its sources"
        )
