"""What an export asks of the data API. Pure."""

from __future__ import annotations

import attrs

from plexus.api import answers, calls
from plexus.api.calls import Call
from plexus.api.export.order import Order
from plexus.api.pinned import iso
from plexus.api.requests import Params, Request
from plexus.api.tables import EventList
from plexus.domain.errors import ProtocolError
from plexus.protocol import jsontext

MAX_QUERY_CHARS = 6_000
"""Servers and proxies take addresses of 8 KiB."""

EVENTS_AT_ONCE = 10_000
"""So many events are in one answer at most."""


@attrs.frozen
class Cut:
    """A piece of an export: some sources and metrics (None: all), from `start_us` to before `end_us`."""

    sources: tuple[str, ...] | None
    metrics: tuple[str, ...] | None
    start_us: int
    end_us: int

    @property
    def window(self) -> Params:
        """The window as query parameters."""
        return (("start", iso(self.start_us)), ("end", iso(self.end_us)))


def export(wanted: Order, cut: Cut, *, estimate: bool = False) -> Request:
    """A piece as a file, or only how many rows it has. MCAP is made here, of Parquet."""
    params: list[tuple[str, str]] = []
    if cut.sources is not None:
        params.append(("sources", ",".join(cut.sources)))
    if cut.metrics is not None:
        plain = [name for name in cut.metrics if "," not in name]
        params += [("metrics", ",".join(plain))] if plain else []
        params += [("metric", name) for name in cut.metrics if "," in name]
    params += [*cut.window, ("resolution", wanted.resolution)]
    params.append(("format", "csv" if wanted.format == "csv" else "parquet"))
    if estimate:
        return Request("GET", "/v1/export", (*params, ("estimate", "1")))
    return Request("GET", "/v1/export", tuple(params), accept="*/*")


def is_too_long(wanted: Order, cut: Cut) -> bool:
    """Whether a request for it could be refused for the length of its address."""
    return len(export(wanted, cut).target) > MAX_QUERY_CHARS


def rows(wanted: Order, cut: Cut) -> Call[int]:
    """How many rows a piece has; of buckets, at most."""
    return Call(export(wanted, cut, estimate=True), lambda answer: _rows(answer.body))


def events(source_id: str, start_us: int, end_us: int) -> Call[EventList]:
    """The first `EVENTS_AT_ONCE` events of a source in a window."""
    window = Cut(None, None, start_us, end_us).window
    return calls.events(source_id, window, None, EVENTS_AT_ONCE, None)


def source_ids() -> Call[list[str]]:
    """The names of all sources that the key sees, sorted."""
    listed = calls.sources(None)
    return Call(listed.request, lambda answer: sorted(source.source_id for source in answers.sources(answer.body)))


def _rows(body: bytes) -> int:
    said = jsontext.loads(body)
    found = said.get("rows") if isinstance(said, dict) else None
    if isinstance(found, bool) or not isinstance(found, int) or found < 0:
        raise ProtocolError("rows is missing or no count", field="rows")
    return found
