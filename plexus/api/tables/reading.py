"""What came back for a query or a fleet metric, in either form: JSON, or Arrow where the gateway offers it."""

from __future__ import annotations

from plexus.api import answers
from plexus.api.refusals import Answer
from plexus.api.requests import JSON
from plexus.api.tables import plain
from plexus.api.tables.needs import has
from plexus.api.tables.results import FleetMetrics, QueryResult

ARROW = "application/vnd.apache.arrow.stream"


def accepted() -> str:
    """The media types that this installation reads: Arrow too where pyarrow is installed. Nothing is loaded."""
    return f"{ARROW}, {JSON};q=0.9" if has("pyarrow") and has("numpy") else JSON


def query(answer: Answer) -> QueryResult:
    """Series by metric; ProtocolError when the answer breaks the contract."""
    if not is_arrow(answer):
        return QueryResult.of(plain.read(answer.body))
    from plexus.api.tables import arrowbody  # it loads numpy and pyarrow

    said, series = arrowbody.read(answer.body)
    return QueryResult(said.interval, said.auto_downsampled, series, said.truncated)


def fleet_metrics(answer: Answer) -> FleetMetrics:
    """One metric over the fleet, which is asked for as JSON."""
    return FleetMetrics.of(answers.fleet_metrics(answer.body))


def is_arrow(answer: Answer) -> bool:
    """Whether the answer is an Arrow stream."""
    return answer.headers.get("content-type", "").partition(";")[0].strip().lower() == ARROW
