"""Every call of the data API: what is asked (requests) with how its answer is read (answers). Pure.

Both clients run these, so that a route is written once. A link sends `request` and hands `read` what came back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

import attrs

from plexus.api import answers, requests
from plexus.api.answers import Identity
from plexus.api.refusals import Answer
from plexus.api.requests import MetricNames, Params, Request
from plexus.api.tables import EventList, FleetMetrics, QueryResult, reading
from plexus.api.times import Instant
from plexus.device.runfields import CriterionItem
from plexus.domain.asked import CommandStatus, SentCommand, SourceCommands
from plexus.domain.metricinfo import MetricInfo
from plexus.domain.run import Run
from plexus.domain.source import Delivery, FleetHealth, Removal, Source
from plexus.domain.values import Value

T = TypeVar("T")


@attrs.frozen
class Call(Generic[T]):
    """One call.

    Attributes:
        request: what is asked.
        read: makes the answer of a success into a value; ProtocolError when it breaks the contract.
    """

    request: Request
    read: Callable[[Answer], T]


def _of_body(request: Request, read: Callable[[bytes], T]) -> Call[T]:
    return Call(request, lambda answer: read(answer.body))


def sources(status: str | None = None) -> Call[list[Source]]:
    """All sources, or those that are online or offline."""
    return _of_body(requests.sources(status), answers.sources)


def source(source_id: str) -> Call[Source]:
    """One source."""
    return _of_body(requests.source(source_id), answers.source)


def register(
    source_id: str, source_type: str | None, device_type: str | None, metadata: Mapping[str, Any] | None
) -> Call[str]:
    """Make a source known before it sends."""
    return _of_body(requests.register(source_id, source_type, device_type, metadata), answers.registered)


def rename(source_id: str, new_id: str) -> Call[Source]:
    """Give a source another name."""
    return _of_body(requests.rename(source_id, new_id), answers.source)


def delete(source_id: str) -> Call[None]:
    """Delete a source with all that is kept of it."""
    return _of_body(requests.delete(source_id), answers.deleted)


def delivery(source_id: str) -> Call[Delivery]:
    """The delivery ledger of a source."""
    return _of_body(requests.delivery(source_id), answers.delivery)


def metric_names(source_id: str) -> Call[list[str]]:
    """The names of a source's metrics."""
    return _of_body(requests.metric_names(source_id), answers.metric_names)


def metric_details(source_id: str) -> Call[list[MetricInfo]]:
    """What is known of each metric of a source."""
    return _of_body(requests.metric_details(source_id), answers.metric_details)


def describe(source_id: str, info: MetricInfo) -> Call[MetricInfo]:
    """Keep what is known of a metric."""
    return _of_body(requests.describe(source_id, info), answers.metric_info)


def forget(source_id: str, metric: str) -> Call[None]:
    """Let go of what is known of a metric."""
    return _of_body(requests.forget(source_id, metric), answers.forgotten)


def remove(
    source_id: str, metrics: MetricNames, start: Instant | None, end: Instant | None, confirm: int | None
) -> Call[Removal]:
    """Remove points for ever, or count them."""
    return _of_body(requests.remove(source_id, metrics, start, end, confirm), answers.removal)


def latest(source_id: str) -> Call[dict[str, Value]]:
    """The newest value of each metric of a source."""
    return _of_body(requests.latest(source_id), answers.latest)


def query(source_id: str, metrics: MetricNames, window: Params, interval: str | None) -> Call[QueryResult]:
    """Values over a window, raw or in buckets."""
    request = requests.query(source_id, metrics, window, interval)
    return Call(attrs.evolve(request, accept=reading.accepted()), reading.query)


def events(source_id: str, window: Params, name: str | None, limit: int | None, tail: int | None) -> Call[EventList]:
    """Events of a window."""
    request = requests.events(source_id, window, name, limit, tail)
    return _of_body(request, lambda body: EventList(answers.events(body, source_id)))


def fleet_health() -> Call[FleetHealth]:
    """How many sources there are and how many are online."""
    return _of_body(requests.fleet_health(), answers.fleet_health)


def fleet_metrics(metric: str, window: Params, interval: str | None) -> Call[FleetMetrics]:
    """One metric over all sources, in buckets."""
    return Call(requests.fleet_metrics(metric, window, interval), reading.fleet_metrics)


def command(source_id: str, name: str, params: Mapping[str, Any] | None) -> Call[SentCommand]:
    """Tell a device to do something."""
    return _of_body(requests.command(source_id, name, params), answers.sent)


def source_commands(source_id: str, state: str | None, limit: int | None, before: int | None) -> Call[SourceCommands]:
    """What a source can be told, and was."""
    return _of_body(requests.source_commands(source_id, state, limit, before), answers.source_commands)


def one_command(run_id: str) -> Call[CommandStatus]:
    """One command."""
    return _of_body(requests.one_command(run_id), answers.command)


def runs(source_id: str | None, status: str | None) -> Call[list[Run]]:
    """Runs, newest first."""
    return _of_body(requests.runs(source_id, status), answers.runs)


def run(run_id: str) -> Call[Run]:
    """One run."""
    return _of_body(requests.run(run_id), answers.run)


def start_run(
    name: str,
    source_id: str | None,
    tags: Mapping[str, object] | None,
    metadata: Mapping[str, Any] | None,
    criteria: Iterable[CriterionItem] | None,
    started_at: Instant,
) -> Call[Run]:
    """Open a run."""
    return _of_body(requests.start_run(name, source_id, tags, metadata, criteria, started_at), answers.run)


def end_run(run_id: str, status: str, ended_at: Instant) -> Call[Run]:
    """Close a run, judged where it has criteria."""
    return _of_body(requests.end_run(run_id, status, ended_at), answers.run)


def whoami() -> Call[Identity]:
    """Whose key this is."""
    return _of_body(requests.verify_key(), answers.identity)
