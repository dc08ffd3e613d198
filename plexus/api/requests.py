"""What is asked of the data API (protocol page, sections 6 and 7), as values. Pure: nothing here sends anything.

What the server would refuse is refused here, with the fix in the message, so that no round trip is lost on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Union
from urllib.parse import quote, urlencode

import attrs

from plexus.domain.errors import ProtocolError, QueryError
from plexus.domain.names import MAX_SOURCE_ID_BYTES, is_gateway_source_id, metric_fault
from plexus.domain.series import INTERVAL_MS, check_interval
from plexus.protocol import jsontext

Params = tuple[tuple[str, str], ...]

MetricNames = Union[str, Sequence[str], None]
"""One metric, several, or None for all."""

STATUSES = ("online", "offline")
FLEET_INTERVALS = tuple(INTERVAL_MS)


@attrs.frozen
class Request:
    """One request, relative to the data API's host.

    Attributes:
        method: "GET" or "POST".
        path: begins with `/v1/`, escaped.
        params: the query, in order.
        body: JSON text, None for none.
        scope: the scope that a key needs for it, for the message of a 403.
    """

    method: str
    path: str
    params: Params = ()
    body: str | None = None
    scope: str = "read"

    @property
    def idempotent(self) -> bool:
        """Whether asking twice changes nothing, so that it may be tried again."""
        return self.method == "GET"

    @property
    def target(self) -> str:
        """Path and query as they stand in a URL."""
        return f"{self.path}?{urlencode(self.params, quote_via=quote)}" if self.params else self.path

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def sources(status: str | None) -> Request:
    """All sources, or those that are online or offline."""
    if status is not None and status not in STATUSES:
        raise QueryError(f"status {status!r} is not known; use {' or '.join(STATUSES)}, or leave it out")
    return Request("GET", "/v1/sources", () if status is None else (("status", status),))


def source(source_id: str) -> Request:
    """One source."""
    return Request("GET", _source_path(source_id))


def delivery(source_id: str) -> Request:
    """The delivery ledger of a source."""
    return Request("GET", f"{_source_path(source_id)}/delivery")


def metric_names(source_id: str) -> Request:
    """The names of a source's metrics."""
    return Request("GET", f"{_source_path(source_id)}/metrics")


def latest(source_id: str) -> Request:
    """The newest value of each metric of a source."""
    return Request("GET", f"{_source_path(source_id)}/metrics/latest")


def query(source_id: str, metrics: MetricNames, window: Params, interval: str | None) -> Request:
    """Values over a window, raw or in buckets; None leaves the interval to the server."""
    params = (*_metric_params(metrics), *window)
    if interval is not None:
        params = (*params, ("interval", check_interval(interval)))
    return Request("GET", f"{_source_path(source_id)}/metrics/query", params)


def events(source_id: str, window: Params, name: str | None, limit: int | None, tail: int | None) -> Request:
    """Events of a window: at most `limit` from its beginning, or the last `tail` of it."""
    if limit is not None and tail is not None:
        raise QueryError("give limit= (the first so many) or tail= (the last so many), not both")
    params = window
    if name is not None:
        params = (*params, ("name", _checked_metric(name, "name")))
    for field, count in (("limit", limit), ("tail", tail)):
        if count is not None:
            params = (*params, (field, _checked_count(count, field)))
    return Request("GET", f"{_source_path(source_id)}/events", params)


def fleet_health() -> Request:
    """How many sources there are and how many are online."""
    return Request("GET", "/v1/fleet/health")


def fleet_metrics(metric: str, window: Params, interval: str | None) -> Request:
    """One metric over all sources, in buckets."""
    params: Params = (("metric", _checked_metric(metric, "metric")), *window)
    if interval is not None:
        if interval not in FLEET_INTERVALS:
            raise QueryError(
                f"interval {interval!r} is not known for the fleet; use one of {', '.join(FLEET_INTERVALS)}"
            )
        params = (*params, ("interval", interval))
    return Request("GET", "/v1/fleet/metrics", params)


def command(source_id: str, name: str, params: Mapping[str, Any] | None) -> Request:
    """Tell a device to do something."""
    if not isinstance(name, str) or not name:
        raise QueryError("command must be the name of a command that the device declared")
    try:
        body = jsontext.dumps({"command": name, "params": dict(params or {})})
    except (ProtocolError, TypeError, ValueError) as exc:
        raise QueryError(f"params of command {name!r} must be a mapping of names to what JSON can say: {exc}") from exc
    return Request("POST", f"{_source_path(source_id)}/commands", body=body, scope="commands")


def metric_stream(source_id: str, metrics: MetricNames) -> Request:
    """The live points of a source."""
    return Request("GET", f"{_source_path(source_id)}/metrics/stream", _metric_params(metrics))


def event_stream(source_id: str) -> Request:
    """The live events of a source."""
    return Request("GET", f"{_source_path(source_id)}/events/stream")


def verify_key() -> Request:
    """Whose key this is; asked of the app, not of the data API."""
    return Request("GET", "/api/auth/verify-key")


def _source_path(source_id: str) -> str:
    if not is_gateway_source_id(source_id):
        raise QueryError(
            f"{source_id!r} cannot be the name of a source: it is at most {MAX_SOURCE_ID_BYTES} lower-case letters, "
            "digits, '.', '-' and '_', starting with a letter or digit"
        )
    return f"/v1/sources/{quote(source_id, safe='')}"


def _metric_params(metrics: MetricNames) -> Params:
    if metrics is None:
        return ()
    names = [metrics] if isinstance(metrics, str) else list(metrics)
    if not names:
        raise QueryError("metrics is empty: name at least one, or leave it out for all of them")
    return (("metrics", ",".join(_checked_metric(name, "metrics") for name in names)),)


def _checked_metric(name: str, field: str) -> str:
    fault = metric_fault(name)
    if fault is not None:
        raise QueryError(f"{field}={name!r}: {fault}")
    if field == "metrics" and "," in name:
        raise QueryError(f"metric {name!r} has a comma, which the API takes as the end of a name; ask for all metrics")
    return name


def _checked_count(count: int, field: str) -> str:
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise QueryError(f"{field} must be a whole number of 1 or more, not {count!r}")
    return str(count)
