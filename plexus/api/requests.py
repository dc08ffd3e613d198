"""What is asked of the data API (protocol page, sections 5 to 7), as values. Pure: nothing here sends anything.

What the server would refuse is refused here, with the fix in the message, so that no round trip is lost on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Union
from urllib.parse import quote, urlencode

import attrs

from plexus.api.times import Instant, instant_ms, iso
from plexus.device import runfields
from plexus.device.runfields import CriterionItem
from plexus.domain.errors import ProtocolError, QueryError
from plexus.domain.metricinfo import MetricInfo
from plexus.domain.names import MAX_SOURCE_ID_BYTES, is_gateway_source_id, metric_fault
from plexus.domain.series import INTERVAL_MS, check_interval
from plexus.protocol import jsontext

Params = tuple[tuple[str, str], ...]

MetricNames = Union[str, Sequence[str], None]
"""One metric, several, or None for all."""

JSON = "application/json"
STATUSES = ("online", "offline")
LONGEST_VIDEO_S = 86_400.0
FLEET_INTERVALS = tuple(INTERVAL_MS)
COMMAND_STATES = ("queued", "acknowledged", "running", "succeeded", "failed", "expired", "offline")
RUN_STATUSES = ("running", "completed", "aborted")
RUN_ENDS = ("completed", "aborted")
RUNS = "/api/runs"
MAX_ID_BYTES = 1_024


@attrs.frozen
class Request:
    """One request, relative to its host.

    Attributes:
        method: "GET", "POST", "PUT", "PATCH" or "DELETE".
        path: begins with `/`, escaped.
        params: the query, in order.
        body: JSON text, None for none.
        scope: the scope that a key needs for it, for the message of a 403.
        accept: the media types that are taken for an answer.
        app: whether it goes to the app's host (runs, keys) and not to the data API's.
        harmless: whether it changes nothing, whatever its method says.
    """

    method: str
    path: str
    params: Params = ()
    body: str | None = None
    scope: str = "read"
    accept: str = JSON
    app: bool = False
    harmless: bool = False

    @property
    def idempotent(self) -> bool:
        """Whether asking twice does what asking once does, so that it may be tried again.

        Not so a DELETE: the second one would be told that there is nothing, although the first one has done it.
        """
        return self.harmless or self.method in ("GET", "PUT")

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


def register(
    source_id: str, source_type: str | None, device_type: str | None, metadata: Mapping[str, Any] | None
) -> Request:
    """Make a source known before it sends; asked of the app."""
    fields = {"source_type": source_type, "device_type": device_type, "metadata": metadata}
    given = {name: value for name, value in fields.items() if value is not None}
    body = _body({"slug": _checked_source(source_id), **given}, f"metadata of source {source_id!r}")
    return Request("POST", "/api/sources", body=body, scope="write", app=True)


def rename(source_id: str, new_id: str) -> Request:
    """Give a source another name."""
    body = _body({"source_id": _checked_source(new_id)}, "the new name")
    return Request("PATCH", _source_path(source_id), body=body, scope="admin")


def delete(source_id: str) -> Request:
    """Delete a source with all that is kept of it."""
    return Request("DELETE", _source_path(source_id), scope="admin")


def delivery(source_id: str) -> Request:
    """The delivery ledger of a source."""
    return Request("GET", f"{_source_path(source_id)}/delivery")


def metric_names(source_id: str) -> Request:
    """The names of a source's metrics."""
    return Request("GET", f"{_source_path(source_id)}/metrics")


def metric_details(source_id: str) -> Request:
    """What is known of each metric of a source."""
    return Request("GET", f"{_source_path(source_id)}/metrics", (("detail", "1"),))


def describe(source_id: str, info: MetricInfo) -> Request:
    """Keep what is known of a metric, in place of what was."""
    if info.low is not None and info.high is not None and info.low > info.high:
        raise QueryError(f"low ({info.low}) must not be above high ({info.high})")
    given = {"unit": info.unit, "description": info.description, "low": info.low, "high": info.high}
    body = _body({name: value for name, value in given.items() if value is not None}, f"what is known of {info.name!r}")
    return Request("PUT", _metric_path(source_id, info.name), body=body, scope="write")


def forget(source_id: str, metric: str) -> Request:
    """Let go of what is known of a metric; its values stay."""
    return Request("DELETE", _metric_path(source_id, metric), scope="write")


def remove(
    source_id: str, metrics: MetricNames, start: Instant | None, end: Instant | None, confirm: int | None
) -> Request:
    """Remove points for ever, `confirm` of them; None: only count them."""
    ends = {field: instant_ms(at, field) for field, at in (("start", start), ("end", end)) if at is not None}
    if metrics is None and not ends:
        raise QueryError("say which points: name metrics, start= or end=; sources.delete removes all of a source")
    if len(ends) == 2 and ends["start"] >= ends["end"]:
        raise QueryError(f"start ({iso(ends['start'])}) must be before end ({iso(ends['end'])})")
    if confirm is not None and (isinstance(confirm, bool) or not isinstance(confirm, int) or confirm < 0):
        raise QueryError(f"confirm must be the number of points that asking without it counted, not {confirm!r}")
    sure = ("dry_run", "1") if confirm is None else ("confirm", str(confirm))
    params = (*_metric_params(metrics), *((field, iso(ms)) for field, ms in ends.items()), sure)
    path = f"{_source_path(source_id)}/data"
    return Request("DELETE", path, params, scope="admin", harmless=confirm is None)


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
        given = dict(params or {})
    except (TypeError, ValueError) as exc:
        raise QueryError(f"params of command {name!r} must be a mapping of names to values: {exc}") from exc
    body = _body({"command": name, "params": given}, f"params of command {name!r}")
    return Request("POST", f"{_source_path(source_id)}/commands", body=body, scope="commands")


def source_commands(source_id: str, state: str | None, limit: int | None, before: int | None) -> Request:
    """What a source can be told, and was."""
    if state is not None and state not in COMMAND_STATES:
        raise QueryError(f"state {state!r} is not known; use one of {', '.join(COMMAND_STATES)}, or leave it out")
    params: Params = () if state is None else (("state", state),)
    if limit is not None:
        params = (*params, ("limit", _checked_count(limit, "limit")))
    if before is not None:
        params = (*params, ("before", _checked_count(before, "before")))
    return Request("GET", f"{_source_path(source_id)}/commands", params)


def one_command(run_id: str) -> Request:
    """One command."""
    return Request("GET", f"/v1/commands/{_id_path(run_id)}")


def runs(source_id: str | None, status: str | None) -> Request:
    """Runs, of one source and one status where these are named; asked of the app, as all of runs."""
    if status is not None and status not in RUN_STATUSES:
        raise QueryError(f"status {status!r} is not known; use one of {', '.join(RUN_STATUSES)}, or leave it out")
    params: Params = () if source_id is None else (("source_id", _checked_source(source_id)),)
    return Request("GET", RUNS, params if status is None else (*params, ("status", status)), app=True)


def run(run_id: str) -> Request:
    """One run."""
    return Request("GET", f"{RUNS}/{_id_path(run_id)}", app=True)


def start_run(
    name: str,
    source_id: str | None,
    tags: Mapping[str, object] | None,
    metadata: Mapping[str, Any] | None,
    criteria: Iterable[CriterionItem] | None,
    started_at: Instant,
) -> Request:
    """Open a run."""
    body = {
        "name": runfields.check_name(name),
        "source_id": None if source_id is None else _checked_source(source_id),
        "started_at": iso(instant_ms(started_at, "started_at")),
        "tags": runfields.check_tags(tags),
        "metadata": runfields.check_metadata(metadata, store_frames=False),
        "pass_criteria": [criterion.to_wire() for criterion in runfields.check_criteria(criteria)],
    }
    return Request("POST", RUNS, body=_body(body, f"run {name!r}"), scope="write", app=True)


def end_run(run_id: str, status: str, ended_at: Instant) -> Request:
    """Close a run."""
    if status not in RUN_ENDS:
        raise QueryError(f"status {status!r} does not end a run; use {' or '.join(RUN_ENDS)}")
    body = _body({"status": status, "ended_at": iso(instant_ms(ended_at, "ended_at"))}, "the end of a run")
    return Request("PATCH", f"{RUNS}/{_id_path(run_id)}", body=body, scope="write", app=True)


def metric_stream(source_id: str, metrics: MetricNames) -> Request:
    """The live points of a source."""
    return Request("GET", f"{_source_path(source_id)}/metrics/stream", _metric_params(metrics))


def event_stream(source_id: str) -> Request:
    """The live events of a source."""
    return Request("GET", f"{_source_path(source_id)}/events/stream")


def video_stream(source_id: str, cameras: Sequence[str], timeout_s: float | None) -> Request:
    """The live frames of these cameras of a source (none: the one called "default"), for so many seconds."""
    if not all(isinstance(name, str) and name for name in cameras):
        raise QueryError('camera_id must be the name of a camera, or a list of them, such as "front"')
    params: Params = tuple(("camera_id", name) for name in cameras)
    if timeout_s is not None:
        if not 0 < timeout_s <= LONGEST_VIDEO_S:
            raise QueryError(f"timeout={timeout_s!r} must be more than 0 and at most {LONGEST_VIDEO_S:g} seconds")
        params = (*params, ("timeout", f"{timeout_s:.3f}"))
    return Request("GET", f"{_source_path(source_id)}/video/stream", params)


def verify_key() -> Request:
    """Whose key this is; asked of the app, not of the data API."""
    return Request("GET", "/api/auth/verify-key", app=True)


def _checked_source(source_id: str) -> str:
    if not is_gateway_source_id(source_id):
        raise QueryError(
            f"{source_id!r} cannot be the name of a source: it is at most {MAX_SOURCE_ID_BYTES} lower-case letters, "
            "digits, '.', '-' and '_', starting with a letter or digit"
        )
    return source_id


def _source_path(source_id: str) -> str:
    return f"/v1/sources/{quote(_checked_source(source_id), safe='')}"


def _metric_path(source_id: str, metric: str) -> str:
    return f"{_source_path(source_id)}/metrics/{quote(_checked_metric(metric, 'metric'), safe='')}"


def _id_path(run_id: str) -> str:
    if not isinstance(run_id, str) or not run_id or len(run_id.encode("utf-8", "replace")) > MAX_ID_BYTES:
        raise QueryError(f"run_id must be a text of 1 to {MAX_ID_BYTES} bytes, not {run_id!r:.80}")
    return quote(run_id, safe="")


def _metric_params(metrics: MetricNames) -> Params:
    """Names in one field, but those with a comma one by one: the API takes a comma as the end of a name."""
    if metrics is None:
        return ()
    names = [_checked_metric(name, "metrics") for name in ([metrics] if isinstance(metrics, str) else metrics)]
    if not names:
        raise QueryError("metrics is empty: name at least one, or leave it out for all of them")
    plain = ",".join(name for name in names if "," not in name)
    odd = tuple(("metric", name) for name in names if "," in name)
    return (("metrics", plain), *odd) if plain else odd


def _checked_metric(name: str, field: str) -> str:
    fault = metric_fault(name)
    if fault is not None:
        raise QueryError(f"{field}={name!r}: {fault}")
    return name


def _checked_count(count: int, field: str) -> str:
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise QueryError(f"{field} must be a whole number of 1 or more, not {count!r}")
    return str(count)


def _body(fields: Mapping[str, Any], what: str) -> str:
    try:
        return jsontext.dumps(fields)
    except ProtocolError as exc:
        raise QueryError(f"{what} must be what JSON can say: {exc}") from exc
