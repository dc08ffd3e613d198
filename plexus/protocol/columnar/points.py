"""A columnar body as the gateway stores it: straight into columns, under the rules of `plexus.protocol.points`."""

from __future__ import annotations

from typing import Any

from plexus.domain.names import MAX_TAGS, metric_fault
from plexus.domain.point import MAX_ABS_MS
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
        all(metric_fault(metric) is None for metric in section.metrics)
        and all(map(_is_plain_tags, section.tags))
        and all(run_id is None or isinstance(run_id, str) for run_id in section.run_ids)
        and -_MAX_ABS_NS <= min(section.t_ns) <= max(section.t_ns) <= _MAX_ABS_NS
        and (not isinstance(section.values, list) or set(map(type, section.values)) <= _PLAIN_TYPES)
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
