"""The device's end of `POST /ingest`, without I/O (protocol page, section 3): one batch in flight, one answer each.

The link opens with a probe, an ingest of no points: its answer tells whether the key is good and which extensions the
gateway has, before any batch is at stake. A gateway of any release answers it with 200 or 400; both mean ready.

Not every answer is the gateway's: a captive portal or a proxy sends a page of its own, with any status. What is no JSON
object releases and condemns nothing, except 401 and 403, which cost no data.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any

from plexus.domain.command import CommandOutcome
from plexus.domain.errors import ProtocolError
from plexus.protocol import binaryframe, extensions, frames, jsontext
from plexus.protocol.batch import Batch
from plexus.protocol.columns import PointFault
from plexus.protocol.extensions import Features
from plexus.protocol.messages import (
    AuthRefused,
    ClockSample,
    ClockSampled,
    Delivered,
    DeviceEvent,
    Ended,
    Forked,
    HttpAnswer,
    HttpRequest,
    Message,
    Oversized,
    Ready,
    Refused,
    Rewound,
)
from plexus.protocol.probing import TIME_HEADER, between, read_times

GZIP_OVER_BYTES = 1_024
PATH = "/ingest"
ANSWER_TIMEOUT_S = 30.0
LONGEST_RETRY_AFTER_S = 3_600.0
"""A `Retry-After` is obeyed up to an hour; a mistaken one must not silence a device for days."""


class RequestSession:
    """One device over plain HTTP. `tick` reads the device's monotonic clock, nanoseconds."""

    def __init__(self, api_key: str, source_id: str, agent_version: str, tick: Callable[[], int]) -> None:
        self._source_id = source_id
        self._tick = tick
        self._headers = {
            "x-api-key": api_key,
            "content-type": "application/json",
            "user-agent": f"plexus-python/{agent_version}",
            extensions.HEADER: extensions.format_header(extensions.DEVICE_OFFERS),
        }
        self._features: Features | None = None
        self._flight: Batch | None = None
        self._asked_at: float | None = None
        self._asked_tick = 0
        self._over = False
        self._messages: list[Message] = []
        self._events: list[DeviceEvent] = []

    def opened(self, now: float) -> None:
        """Ask which extensions there are, with an ingest of no points; the answer makes the link ready."""
        self._asked(now)
        self._post({"source_id": self._source_id, "points": []})

    def has_room(self, count: int) -> bool:  # noqa: ARG002 - one message is in flight at a time, of any size
        """Whether nothing is in flight."""
        return self._features is not None and self._flight is None and not self._over

    def submit(self, batch: Batch, base: int, body: bytes, now: float) -> None:
        """Post one batch, with its name where the gateway knows names."""
        self._flight = batch
        self._asked(now)
        named = None
        if self._features is not None and extensions.BATCH in self._features:
            named = batch.name(base)
        if binaryframe.is_binary_body(body):
            self._messages.append(
                self._binary(binaryframe.dump(body, batch=named, gaps=batch.losses, source_id=self._source_id))
            )
            return
        name = b"" if named is None else b',"batch":' + jsontext.dumps(named.to_wire()).encode()
        if batch.losses:
            name += b',"gaps":' + jsontext.dumps(frames.write_gaps(batch.losses)).encode()
        source = jsontext.dumps(self._source_id).encode()
        self._messages.append(self._request(b'{"source_id":' + source + b',"points":' + body + name + b"}"))

    def written(self) -> None:
        """Nothing follows from it: every batch has an answer of its own."""

    def receive(self, message: Message, now: float) -> None:  # noqa: ARG002 - the port's shape
        """An answer came."""
        if not isinstance(message, HttpAnswer) or self._over:
            return
        self._asked_at = None
        batch, self._flight = self._flight, None
        if batch is None:
            self._probed(message)
            return
        sample = self._told_time(message)
        if sample is not None:
            self._events.append(ClockSampled(sample))
        self._answered(batch, message)

    def answer(self, outcome: CommandOutcome) -> None:
        """Commands do not travel over plain HTTP."""

    def tick(self, now: float) -> None:
        """A request that is not answered ends the link, so that the batch is sent again."""
        if self._asked_at is not None and now >= self._asked_at + ANSWER_TIMEOUT_S:
            self.ended(f"no answer to POST {PATH} for {ANSWER_TIMEOUT_S:g} s")

    def ended(self, reason: str, *, goodbye: bool = False) -> None:
        """The host cannot be reached, or the caller has a better link."""
        if self._over:
            return
        self._over = True
        self._messages.clear()
        batches = () if self._flight is None else (self._flight,)
        self._flight = None
        self._events.append(Ended(batches, reason, goodbye))

    def in_flight(self) -> int:
        """Points posted and not answered."""
        return 0 if self._flight is None else self._flight.count

    def next_deadline(self) -> float | None:
        """When an answer is overdue."""
        return None if self._asked_at is None or self._over else self._asked_at + ANSWER_TIMEOUT_S

    def take_messages(self) -> list[Message]:
        """Requests to send."""
        taken, self._messages = self._messages, []
        return taken

    def take_events(self) -> list[DeviceEvent]:
        """What happened, in order."""
        taken, self._events = self._events, []
        return taken

    def _asked(self, now: float) -> None:
        self._asked_at, self._asked_tick = now, self._tick()

    # --- answers --------------------------------------------------------------------------------------------

    def _probed(self, answer: HttpAnswer) -> None:
        if answer.status in (401, 403):
            self._events.append(AuthRefused(str(answer.status), _detail(answer), key_at_fault=True))
            self.ended(f"the gateway refused the key with {answer.status}")
        elif _is_success(answer) or _is_refusal(answer):
            agreed = extensions.parse_header(answer.headers.get(extensions.HEADER))
            self._features = extensions.features(extensions.agree(agreed, extensions.DEVICE_OFFERS))
            self._events.append(Ready(self._source_id, self._features, confirms=True, clock=self._told_time(answer)))
        else:
            self.ended(_unexpected(answer))

    def _answered(self, batch: Batch, answer: HttpAnswer) -> None:
        if _is_success(answer):
            self._events.append(Delivered((batch,), *_dropped(_object(answer) or {}, batch.count)))
        elif answer.status == 409:
            self._conflicted(batch, answer)
        elif _is_refusal(answer):
            self._events.append(Refused((batch,), str(answer.status), _detail(answer)))
        elif answer.status in (401, 403):
            self._events.append(Rewound((batch,)))
            self._events.append(AuthRefused(str(answer.status), _detail(answer), key_at_fault=True))
        elif answer.status == 413:
            self._events.append(Oversized((batch,), _unexpected(answer)))
        else:
            # 429, 5xx, and a captive portal's page with status 200: the batch is kept and tried again.
            self._events.append(Rewound((batch,), _unexpected(answer), _retry_after(answer)))

    def _conflicted(self, batch: Batch, answer: HttpAnswer) -> None:
        body = _object(answer) or {}
        if body.get("type") == "batch_fork":
            self._events.append(Forked(batch.stream, (batch,)))
        elif body.get("type") == "batch_nack":
            detail = f"the gateway expects batch {body.get('expected')} of stream {batch.stream[:8]}"
            self._events.append(Rewound((batch,), detail))
        else:
            self._events.append(Rewound((batch,), _unexpected(answer), _retry_after(answer)))

    def _told_time(self, answer: HttpAnswer) -> ClockSample | None:
        times = read_times(answer.headers.get(TIME_HEADER))
        if times is None or self._features is None or extensions.CLOCK not in self._features:
            return None
        return between(self._asked_tick, self._tick(), *times)

    def _post(self, body: Mapping[str, Any]) -> None:
        self._messages.append(self._request(jsontext.dumps(body).encode()))

    def _binary(self, message: bytes) -> HttpRequest:
        return HttpRequest("POST", PATH, {**self._headers, "content-type": binaryframe.CONTENT_TYPE}, message)

    def _request(self, body: bytes) -> HttpRequest:
        if len(body) <= GZIP_OVER_BYTES:
            return HttpRequest("POST", PATH, self._headers, body)
        packed = gzip.compress(body, compresslevel=1, mtime=0)
        return HttpRequest("POST", PATH, {**self._headers, "content-encoding": "gzip"}, packed)


def _object(answer: HttpAnswer) -> dict[str, Any] | None:
    try:
        body = jsontext.loads(answer.body)
    except ProtocolError:
        return None
    return body if isinstance(body, dict) else None


def _is_success(answer: HttpAnswer) -> bool:
    body = _object(answer) if answer.status == 200 else None
    return body is not None and body.get("success") is True


def _is_refusal(answer: HttpAnswer) -> bool:
    """Whether the gateway itself, not something in between, called the message malformed."""
    return answer.status in (400, 422) and (not answer.body or _object(answer) is not None)


def _unexpected(answer: HttpAnswer) -> str:
    said = f"POST {PATH} was answered with {answer.status}: {_detail(answer)}"
    if not answer.body or _object(answer) is not None:
        return said
    return f"{said}; that is not the gateway's: check the address, and for a captive portal or proxy in between"


def _detail(answer: HttpAnswer) -> str:
    body = _object(answer) or {}
    said = body.get("error") or body.get("detail")
    return str(said)[:500] if said else answer.body[:200].decode("utf-8", "replace")


def _dropped(body: Mapping[str, Any], count: int) -> tuple[int, str, tuple[PointFault, ...]]:
    """How many of `count` points were left out, why, and those of them that the gateway names."""
    dropped = body.get("dropped")
    if isinstance(dropped, bool) or not isinstance(dropped, int) or dropped <= 0:
        return 0, "", ()
    errors = body.get("errors")
    if not isinstance(errors, list) or not errors:
        return min(dropped, count), "rate_limited", ()
    faults = {
        item["index"]: PointFault(item["index"], str(item.get("error", "refused"))[:500])
        for item in errors
        if isinstance(item, dict) and isinstance(item.get("index"), int) and 0 <= item["index"] < count
    }
    named = tuple(faults.values())[:dropped]
    return min(dropped, count), named[0].error if named else "refused", named


def _retry_after(answer: HttpAnswer) -> float | None:
    """Seconds: from a number of them, or from a date by the clock of whoever answered."""
    raw = answer.headers.get("retry-after", "").strip()
    if raw.isascii() and raw.isdigit():
        return min(float(raw[:12]), LONGEST_RETRY_AFTER_S)
    until, now = _date(raw), _date(answer.headers.get("date", ""))
    if until is None or now is None:
        return None
    return min(max((until - now).total_seconds(), 0.0), LONGEST_RETRY_AFTER_S)


def _date(raw: str) -> datetime | None:
    from email.utils import parsedate_to_datetime  # seldom needed, and loads much

    try:
        date = parsedate_to_datetime(raw)
    except (ValueError, TypeError, IndexError, OverflowError):
        # What the library raises for what is no date depends on its release.
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=timezone.utc)
