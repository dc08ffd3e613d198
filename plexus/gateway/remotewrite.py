"""`POST /api/v1/write`: a Prometheus that writes its samples here (remote-write 1.0), without names for its messages.

204 says that everything is stored. Bad samples are named in a 400, which Prometheus does not send again, and the good
ones beside them are stored; 429 and 503 it sends again, whole, so a sample may then be stored twice.
"""

from __future__ import annotations

import asyncio

from plexus.domain.errors import ProtocolError, StoreError
from plexus.gateway import writerequest
from plexus.gateway.access import require
from plexus.gateway.asgi import HttpError, Receive, Scope, Send, header, read_body
from plexus.gateway.core import Core
from plexus.gateway.ingest import DECODE_ASIDE_OVER, unavailable
from plexus.gateway.rates import retry_after
from plexus.ports.keyring import KeyInfo
from plexus.ports.store import Submission
from plexus.protocol.columnar import TooManyPointsError
from plexus.protocol.columns import Decoded

PATH = "/api/v1/write"
CONTENT_TYPE = "application/x-protobuf"


class RemoteWriteHandler:
    """ASGI, behind the gate."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one message."""
        key: KeyInfo = scope["state"]["key"]
        require(key, "write")
        _check_kind(scope)
        await self._core.committer.room()
        limits = self._core.limits
        body = await read_body(scope, receive, limits.body_bytes, self._core.pace)
        arrival_ns = self._core.wall_ns()
        decoded = await self._decode(body)
        sources = list(decoded.columns.sources())
        if not self._core.intake.in_time(key.org, sources):
            wait_s = self._core.intake.retry_s(key.org, sources)
            raise HttpError(429, "too many messages a second from one of these sources", [retry_after(wait_s)])
        decoded = await self._store(key, decoded, arrival_ns)
        if decoded.faults:
            first = decoded.faults[0]
            told = f"{len(decoded.faults)} samples are refused, the others are stored: sample {first.index}: "
            raise HttpError(400, told + first.error)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def _decode(self, body: bytes) -> Decoded:
        limits = self._core.limits

        def decode() -> Decoded:
            return writerequest.read(writerequest.unpack(body, limits.body_bytes), limits.message_points)

        try:
            return decode() if len(body) <= DECODE_ASIDE_OVER // 8 else await asyncio.to_thread(decode)
        except TooManyPointsError as exc:
            self._core.meters.reject("malformed")
            raise HttpError(413, str(exc)) from exc
        except ProtocolError as exc:
            self._core.meters.reject("malformed")
            raise HttpError(400, str(exc)) from exc

    async def _store(self, key: KeyInfo, decoded: Decoded, arrival_ns: int) -> Decoded:
        core = self._core
        try:
            await core.intake.quotas.learn(key.org)
            decoded = core.intake.admit(key, decoded)
            sources = list(decoded.columns.sources())
            if sources:
                await core.committer.submit(Submission(key.org, sources[0], decoded.columns, arrival_ns))
        except StoreError as exc:
            raise unavailable() from exc
        for source_id in sources:
            core.presence.heard(key.org, source_id)
        return decoded


def _check_kind(scope: Scope) -> None:
    kind = header(scope, b"content-type") or CONTENT_TYPE
    name, _, parameters = kind.partition(";")
    if name.strip().lower() != CONTENT_TYPE or "write.v2" in parameters:
        raise HttpError(415, f"content-type must be {CONTENT_TYPE} of remote-write 1.0")
    if (header(scope, b"content-encoding") or "snappy").strip().lower() != "snappy":
        raise HttpError(415, "content-encoding must be snappy")
