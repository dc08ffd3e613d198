"""A columnar body as the gateway stores it: straight into columns, under the rules of `plexus.protocol.points`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from plexus.domain.event import MAX_TEXT_BYTES
from plexus.domain.names import MAX_TAGS, metric_fault
from plexus.domain.point import MAX_ABS_MS
from plexus.domain.values import Value
from plexus.protocol import points
from plexus.protocol.columnar.body import read_body
from plexus.protocol.columnar.section import Section
from plexus.protocol.columns import Columns, Decoded, PointFault

_MAX_ABS_NS = int(MAX_ABS_MS) * 1_000_000
_SOME_MS, _NO_MS = int(1e12), int(MAX_ABS_MS) + 1
"""Times that the reference decoder takes, and does not: nanoseconds are judged here, since it reads milliseconds."""


def decode_points(body: bytes, *, source_id: str | None, max_points: int) -> Decoded:
    """The points of a body, for the source that the message is from (None: it does not say, a fault of every point).

    Raises ProtocolError for what is no columnar body or has more points; a bad point inside becomes a PointFault.
    """
    columns = Columns()
    faults: list[PointFault] = []
    first = 0
    for section in read_body(body, max_points):
        if source_id is not None and _is_plain(section):
            columns.extend(_columns(section, source_id))
        else:
            decoded = _by_reference(section, source_id)
            columns.extend(decoded.columns)
            faults += [PointFault(first + fault.index, fault.error) for fault in decoded.faults]
        first += len(section)
    return Decoded(columns, tuple(faults))


def _is_plain(section: Section) -> bool:
    """Whether no rule can be broken in it; in doubt it is not plain."""
    return (
        is_plain_listing(section.metrics, section.tags, section.run_ids)
        and -_MAX_ABS_NS <= min(section.t_ns) <= max(section.t_ns) <= _MAX_ABS_NS
        and (not isinstance(section.values, list) or _are_plain(section.values, may_be_long=True not in section.events))
    )


def _are_plain(values: list[Value], *, may_be_long: bool) -> bool:
    types = set(map(type, values))
    if not types <= _PLAIN_TYPES:
        return False
    # A character of UTF-8 takes up to four bytes.
    return (
        may_be_long
        or str not in types
        or all(len(value) <= MAX_TEXT_BYTES // 4 for value in values if isinstance(value, str))
    )


def is_plain_listing(metrics: Iterable[Any], tags: Iterable[Any], run_ids: Iterable[Any]) -> bool:
    """Whether series break no rule."""
    return (
        all(metric_fault(metric) is None for metric in metrics)
        and all(map(_is_plain_tags, tags))
        and all(run_id is None or isinstance(run_id, str) for run_id in run_ids)
    )


_PLAIN_TYPES = {float, int, str, bool}


def _is_plain_tags(tags: Any) -> bool:
    if tags is None:
        return True
    return isinstance(tags, dict) and len(tags) <= MAX_TAGS and all(isinstance(text, str) for text in tags.values())


def _columns(section: Section, source_id: str) -> Columns:
    n = len(section)
    tags = [entry or None for entry in section.tags]
    return Columns(
        source_id=[source_id] * n,
        metric=section.spread(section.metrics),
        t_ns=list(section.t_ns),
        is_event=section.spread(section.events),
        value=section.values if isinstance(section.values, list) else section.values.tolist(),
        tags=section.spread(tags),
        run_id=section.spread(section.run_ids),
    )


def _by_reference(section: Section, source_id: str | None) -> Decoded:
    """The same by the reference decoder, which knows every rule."""
    series = zip(section.metrics, section.events, section.tags, section.run_ids, strict=True)
    items = [
        {"metric": metric, "class": "event" if event else "metric", "tags": tags, "run_id": run_id}
        for metric, event, tags, run_id in series
    ]
    raw = [
        {**item, "value": value, "timestamp": _SOME_MS if abs(t_ns) <= _MAX_ABS_NS else _NO_MS}
        for item, value, t_ns in zip(section.spread(items), section.values, section.t_ns, strict=True)
    ]
    decoded = points.decode_points(raw, source_id=source_id, arrival_ns=0)
    faulty = {fault.index for fault in decoded.faults}
    decoded.columns.t_ns[:] = [t_ns for i, t_ns in enumerate(section.t_ns) if i not in faulty]
    return decoded
