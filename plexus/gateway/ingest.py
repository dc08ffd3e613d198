"""`POST /ingest` and `/api/ingest` (protocol page, section 3): one message of points in, one answer out.

What is good is stored and what is bad is answered with its index; the answer comes after the commit. An ingest of no
points stores nothing: it is how a device asks whether its key is good and which extensions there are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, MutableMapping, Sequence
from typing import Any

import attrs

from plexus.domain.errors import ProtocolError, StoreError
from plexus.gateway import decoding
from plexus.gateway.access import require
from plexus.gateway.asgi import HttpError, Receive, Scope, Send, header, read_body, send_json, unpack
from plexus.gateway.core import Core
from plexus.gateway.rates import retry_after
from plexus.ports.keyring import KeyInfo
from plexus.ports.store import Receipt, Submission
from plexus.protocol import extensions
from plexus.protocol.columnar import TooManyPointsError
from plexus.protocol.columns import PointFault
from plexus.protocol.probing import TIME_HEADER, dump_times

PATHS = ("/ingest", "/api/ingest")

Headers = Sequence[tuple[bytes, bytes]]

UNPACK_ASIDE_OVER = 64 * 1024
"""Bytes of a packed body from which on it is unpacked in a thread, so that no other connection waits for it."""

DECODE_ASIDE_OVER = 256 * 1024
"""The same of a body from which on it is decoded in one."""

FAULTS_TOLD = 100
"""Faults that an answer lists; `dropped` counts them all."""


class IngestHandler:
    """ASGI, behind the gate."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one message."""
        key: KeyInfo = scope["state"]["key"]
        require(key, "write")
        send = _telling_time(scope, send, self._core.wall_ns)
        # Before the body is read: while the store is behind, what a client sends waits on its side of the socket.
        await self._core.committer.room()
        ingest, arrival_ns = await self._read(scope, receive)
        self._check(key, ingest)
        headers = _answered_extensions(scope)
        source_id = ingest.source_id or next(iter(ingest.decoded.columns.sources()), None)
        wait_s = self._wait_s(key, ingest)
        if wait_s is not None:
            await self._drop(send, wait_s, source_id, ingest, headers)
            return
        ingest = await self._admit(key, ingest)
        if not ingest.decoded.total and ingest.batch is None:
            await send_json(send, 200, _success(ingest, 0), headers)
            return
        if not len(ingest.decoded.columns) and ingest.decoded.total:
            errors = _errors(ingest.decoded.faults)
            await send_json(send, 400, {"error": fault_text(ingest.decoded.faults[0]), "errors": errors}, headers)
            return
        receipt = await self._store(key, source_id, ingest, arrival_ns)
        await self._answer(send, ingest, receipt, headers)

    async def _read(self, scope: Scope, receive: Receive) -> tuple[decoding.Ingest, int]:
        limits = self._core.limits
        body = await read_body(scope, receive, limits.body_bytes, self._core.pace)
        arrival_ns = self._core.wall_ns()
        encoding = header(scope, b"content-encoding")
        if encoding is not None:
            if len(body) > UNPACK_ASIDE_OVER:
                body = await asyncio.to_thread(unpack, encoding, body, limits.body_bytes)
            else:
                body = unpack(encoding, body, limits.body_bytes)
        try:
            if len(body) > DECODE_ASIDE_OVER:
                ingest = await asyncio.to_thread(decoding.parse_body, body, arrival_ns, limits.message_points)
            else:
                ingest = decoding.parse_body(body, arrival_ns, limits.message_points)
        except TooManyPointsError as exc:
            self._core.meters.reject("malformed")
            raise HttpError(413, str(exc)) from exc
        except ProtocolError as exc:
            self._core.meters.reject("malformed")
            raise HttpError(400, str(exc)) from exc
        if ingest.decoded.total > limits.message_points:
            raise HttpError(413, f"points must be at most {limits.message_points} a message")
        return ingest, arrival_ns

    def _check(self, key: KeyInfo, ingest: decoding.Ingest) -> None:
        """The key, for every source that the message names, before any state is touched."""
        if key.source_id is None:
            return
        if ingest.source_id is not None:
            require(key, "write", ingest.source_id)
        for source_id in ingest.decoded.columns.sources():
            require(key, "write", source_id)

    async def _admit(self, key: KeyInfo, ingest: decoding.Ingest) -> decoding.Ingest:
        """The message without what is over a quota, which is among its faults then."""
        try:
            await self._core.intake.quotas.learn(key.org)
        except StoreError as exc:
            raise unavailable() from exc
        return attrs.evolve(ingest, decoded=self._core.intake.admit(key, ingest.decoded))

    def _wait_s(self, key: KeyInfo, ingest: decoding.Ingest) -> float | None:
        """Seconds until a message that came too soon may come again; None for one that came in time."""
        intake = self._core.intake
        if not intake.metered:
            return None
        named = set(ingest.decoded.columns.sources())
        if ingest.source_id is not None:
            named.add(ingest.source_id)
        return None if intake.in_time(key.org, named) else intake.retry_s(key.org, named)

    async def _drop(
        self, send: Send, wait_s: float, source_id: str | None, ingest: decoding.Ingest, headers: Headers
    ) -> None:
        """A message that came too soon: one without a batch name is dropped whole, one with a name is sent again."""
        if ingest.batch is not None:
            told = "too many messages a second from one of its sources; nothing of this one is kept, send it again"
            raise HttpError(429, told, [retry_after(wait_s)])
        answer = {"success": True, "count": 0, "dropped": ingest.decoded.total, "source_id": source_id}
        await send_json(send, 200, answer, headers)

    async def _store(self, key: KeyInfo, source_id: str | None, ingest: decoding.Ingest, arrival_ns: int) -> Receipt:
        columns = ingest.decoded.columns
        if source_id is None:
            raise HttpError(400, "source_id is required, in the point or in the envelope")
        submission = Submission(key.org, source_id, columns, arrival_ns, ingest.batch, ingest.gaps)
        try:
            receipt = await self._core.committer.submit(submission)
        except StoreError as exc:
            raise unavailable() from exc
        for source in {source_id, *columns.sources()}:
            self._core.presence.heard(key.org, source)
        return receipt

    async def _answer(self, send: Send, ingest: decoding.Ingest, receipt: Receipt, headers: Headers) -> None:
        batch = ingest.batch
        if batch is not None and receipt.verdict == "gap":
            expected = receipt.upto + 1
            body = {
                "type": "batch_nack",
                "stream": batch.stream,
                "expected": expected,
                "error": f"batch {batch.n} leaves a gap: {expected} is expected",
            }
            await send_json(send, 409, body, headers)
        elif batch is not None and receipt.verdict == "fork":
            error = (
                f"batch {batch.n} is known with other content, or its stream began with another source; "
                "send it under a new stream"
            )
            await send_json(send, 409, {"type": "batch_fork", "stream": batch.stream, "error": error}, headers)
        else:
            await send_json(send, 200, _success(ingest, len(ingest.decoded.columns)), headers)


def unavailable() -> HttpError:
    """The answer while the store takes no data."""
    told = "the gateway cannot store data just now; nothing of this message is kept, send it again"
    return HttpError(503, told, [(b"retry-after", b"1")])


def fault_text(fault: PointFault) -> str:
    """A fault as one sentence that says where: `points[3].timestamp must be a number`."""
    if fault.error.startswith("point "):
        return f"points[{fault.index}] {fault.error[len('point ') :]}"
    return f"points[{fault.index}].{fault.error}"


def _answered_extensions(scope: Scope) -> Headers:
    offered = extensions.parse_header(header(scope, extensions.HEADER.encode()))
    agreed = extensions.agree(offered, extensions.GATEWAY_OFFERS)
    return [(extensions.HEADER.encode(), extensions.format_header(agreed).encode())] if agreed else []


def _telling_time(scope: Scope, send: Send, wall_ns: Callable[[], int]) -> Send:
    """`send`, with the time of the question and of the answer for a client that asks for them (extension `clock`)."""
    if extensions.CLOCK not in extensions.parse_header(header(scope, extensions.HEADER.encode())):
        return send
    came_ns = wall_ns()

    async def told(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            times = dump_times(came_ns, wall_ns()).encode()
            message = {**message, "headers": [*message["headers"], (TIME_HEADER.encode(), times)]}
        await send(message)

    return told


def _success(ingest: decoding.Ingest, count: int) -> dict[str, Any]:
    faults = ingest.decoded.faults
    first = next(iter(ingest.decoded.columns.sources()), None)
    body: dict[str, Any] = {
        "success": True,
        "count": count,
        "dropped": len(faults),
        "source_id": ingest.source_id or first,
    }
    if faults:
        body["errors"] = _errors(faults)
    if ingest.batch is not None:
        body["batch"] = ingest.batch.to_wire()
    return body


def _errors(faults: Sequence[PointFault]) -> list[dict[str, Any]]:
    return [{"index": fault.index, "error": fault.error} for fault in faults[:FAULTS_TOLD]]
