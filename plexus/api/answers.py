"""The data API's answers (protocol page, sections 5 and 6), read into domain values. Pure.

Fields that this release does not know are passed over; a field that is missing or of another type names itself in the
ProtocolError. The rules are in `structuring`, which is loaded with the first answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import attrs

from plexus.domain.asked import CommandStatus, SentCommand, SourceCommands
from plexus.domain.errors import ProtocolError
from plexus.domain.event import Event
from plexus.domain.metricinfo import MetricInfo
from plexus.domain.run import Run
from plexus.domain.series import FleetMetrics, QueryResult
from plexus.domain.source import Delivery, FleetHealth, Removal, Source
from plexus.domain.values import Value
from plexus.protocol import jsontext

T = TypeVar("T")


@attrs.frozen
class Identity:
    """Whose key it is and what it may do.

    Attributes:
        org_id: the organisation.
        scopes: what the key may do, such as "read" and "write".
        source_id: the only source that it is for; None for all of the organisation.
    """

    org_id: str
    scopes: Sequence[str]
    source_id: str | None = None


@attrs.frozen
class _Sources:
    devices: Sequence[Source]


@attrs.frozen
class _Named:
    source_id: str


@attrs.frozen
class _Latest:
    metrics: Mapping[str, Value]
    non_finite: Sequence[str] = ()


@attrs.frozen
class _OneCommand:
    command: CommandStatus


@attrs.frozen
class _OneRun:
    run: Run


@attrs.frozen
class _Runs:
    runs: Sequence[Run]


def sources(body: bytes) -> list[Source]:
    """The sources of `GET /v1/sources`."""
    return list(_read(body, _Sources).devices)


def source(body: bytes) -> Source:
    """One source."""
    return _read(body, Source)


def registered(body: bytes) -> str:
    """The name that a source is registered under."""
    return _read(body, _Named).source_id


def deleted(body: bytes) -> None:
    """That a source is gone."""
    _read(body, _Named)


def delivery(body: bytes) -> Delivery:
    """How what a source sent came in. What an older gateway does not say is as if there were none."""
    return _read(body, Delivery)


def metric_names(body: bytes) -> list[str]:
    """Names of metrics."""
    return _read(body, list[str])


def metric_details(body: bytes) -> list[MetricInfo]:
    """What is known of metrics."""
    return _read(body, list[MetricInfo])


def metric_info(body: bytes) -> MetricInfo:
    """What is known of a metric."""
    return _read(body, MetricInfo)


def forgotten(body: bytes) -> None:
    """That nothing is known of a metric any more."""
    _read(body, MetricInfo)


def removal(body: bytes) -> Removal:
    """How many points are gone, or would be."""
    return _read(body, Removal)


def latest(body: bytes) -> dict[str, Value]:
    """The newest value by metric."""
    from plexus.api.structuring import restored

    found = _read(body, _Latest)
    odd = {name: found.metrics[name] for name in found.non_finite if name in found.metrics}
    return {**found.metrics, **{name: restored(value) for name, value in odd.items()}}


def query(body: bytes) -> QueryResult:
    """Series by metric."""
    return _read(body, QueryResult)


def events(body: bytes, source_id: str) -> list[Event]:
    """Events of `source_id`, which the answer itself does not name."""
    found = _read(body, list[Event])
    return [event if event.source_id else attrs.evolve(event, source_id=source_id) for event in found]


def fleet_health(body: bytes) -> FleetHealth:
    """Counts of sources."""
    return _read(body, FleetHealth)


def fleet_metrics(body: bytes) -> FleetMetrics:
    """One metric over the fleet."""
    return _read(body, FleetMetrics)


def sent(body: bytes) -> SentCommand:
    """Whether a command is on its way to its device."""
    return _read(body, SentCommand)


def source_commands(body: bytes) -> SourceCommands:
    """What a source can be told, and was."""
    return _read(body, SourceCommands)


def command(body: bytes) -> CommandStatus:
    """One command."""
    return _read(body, _OneCommand).command


def runs(body: bytes) -> list[Run]:
    """Runs."""
    return list(_read(body, _Runs).runs)


def run(body: bytes) -> Run:
    """One run."""
    return _read(body, _OneRun).run


def identity(body: bytes) -> Identity:
    """Whose key it is."""
    return _read(body, Identity)


def refusal(body: bytes) -> str:
    """What an answer that is no success says of itself: its `error` or `detail`, else its text; never raises."""
    try:
        raw = jsontext.loads(body)
    except ProtocolError:
        raw = None
    said: Any = (raw.get("error") or raw.get("detail")) if isinstance(raw, dict) else None
    text = said if isinstance(said, str) else jsontext.dumps(said) if said else body[:_SHOWN].decode("utf-8", "replace")
    return " ".join(text.split())[:_SHOWN]


_SHOWN = 500


def _read(body: bytes, kind: type[T]) -> T:
    # Here, so that a program that only imports the client does not wait for cattrs.
    from plexus.api.structuring import structure

    return structure(jsontext.loads(body), kind)
